"""Videos with their boxes: readers of datasets, stores of their bytes (folder, zip, LMDB), decoding, the index."""
