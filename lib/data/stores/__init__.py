"""Archives of a dataset as stores: zip_store, lmdb_store; directory (the names in them). ``packing`` writes both."""
