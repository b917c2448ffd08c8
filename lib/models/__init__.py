"""Networks. Nothing in here knows about files, datasets or the command line (``mstgt.checkpoint`` apart)."""
