"""Archives of a dataset as stores: ``ZipStore`` and ``LmdbStore``. ``lib.data.packing`` writes both.

    store = ZipStore("data/got10k.zip")
    store.read("train/list.txt")
"""

from lib.data.stores.lmdb_store import LmdbStore
from lib.data.stores.zip_store import ZipStore

__all__ = ["LmdbStore", "ZipStore"]
