"""Archives of a dataset as stores: ``ZipStore`` and ``LmdbStore``. ``mstgt.data.packing`` writes both.

    store = ZipStore("data/got10k.zip")
    store.read("train/list.txt")
"""

from .lmdb_store import LmdbStore
from .zip_store import ZipStore

__all__ = ["LmdbStore", "ZipStore"]
