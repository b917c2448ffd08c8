"""Networks. They know nothing of datasets or the command line; of their modules, ``checkpoint`` and ``reference`` read
files."""
