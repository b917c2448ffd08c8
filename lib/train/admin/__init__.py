"""``tracking/create_default_local_file.py`` writes the ``local.py`` of training here."""
