"""The training half's ``local.py`` lies here once ``tracking/create_default_local_file.py`` has written it."""
