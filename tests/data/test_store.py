"""Stores: the same bytes from a folder, a zip and an LMDB; hostile and corrupt archives."""

import multiprocessing
import os
import pickle
import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.data.packing import pack
from mstgt.data.store import FolderStore, open_store
from mstgt.data.stores import zip_store
from mstgt.data.stores.directory import Directory
from mstgt.data.stores.lmdb_store import LmdbStore
from mstgt.data.stores.zip_store import ZipStore
from mstgt.untrusted.limits import fault_in_key
from mstgt.utils.errors import UserError

FILES = {"list.txt": b"a\nb\n", "train/a/00000001.jpg": bytes(range(256)) * 40, "train/a/groundtruth.txt": b"1,2,3,4\n",
         "train/b/00000001.jpg": b"", "train/b/\u00e9t\u00e9.txt": b"x", "val/readme": b"no suffix"}


@pytest.fixture
def source(tmp_path):
    for key, data in FILES.items():
        path = tmp_path / "src" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "src"


@pytest.fixture(params=["folder", "zip", "lmdb"])
def store(request, source, tmp_path):
    if request.param == "folder":
        return FolderStore(source)
    pack(source, tmp_path / f"out.{request.param}")
    return open_store(tmp_path / f"out.{request.param}", "x")


def zip_of(path, entries):
    """An archive of (name or ZipInfo, data)."""
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries:
            archive.writestr(entry, data)
    return path


def read_all(store):
    return {key: store.read(key) for key in FILES}


def check_in_process(store, results):
    results.put(read_all(store) == FILES)


def test_folders_zips_and_lmdbs_give_the_same_files(store):
    assert read_all(store) == FILES
    assert store.list() == ["list.txt", "train", "val"] and store.list("train") == ["a", "b"]
    assert store.list("train/a") == ["00000001.jpg", "groundtruth.txt"]
    assert store.list("tra") == store.list("list.txt") == store.list("gone/x") == []
    assert store.exists("train/b/\u00e9t\u00e9.txt") and store.exists("list.txt")
    assert not any(map(store.exists, ("train", "train/a/00000002.jpg", "train/a", "", "gone/list.txt")))
    assert store.mtime_key("train") and store.mtime_key("list.txt") and store.mtime_key("gone") is None
    with pytest.raises(UserError, match=r"cannot read .*train/a/gone\.jpg: "):
        store.read("train/a/gone.jpg")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_stores_work_in_other_processes(store, method):
    assert read_all(store) == FILES  # opened here before the other process begins
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    process = context.Process(target=check_in_process, args=(store, results))
    process.start()
    process.join(60)
    assert process.exitcode == 0 and results.get() is True
    assert read_all(store) == FILES
    assert read_all(pickle.loads(pickle.dumps(store))) == FILES


def test_several_zips_are_one_store(tmp_path):
    zip_of(tmp_path / "d.one.zip", [("train/a", b"1")])
    zip_of(tmp_path / "d.two.zip", [("train/b", b"2"), ("train/empty/", b"")])
    store = open_store(tmp_path / "d", "d")
    assert store.list("train") == ["a", "b"] and store.read("train/b") == b"2" and len(store) == 2
    assert store.where("train/b") == str(tmp_path / "d.two.zip" / "train" / "b")
    zip_of(tmp_path / "d.zip", [("train/a", b"3")])
    with pytest.raises(UserError, match="'train/a' is there twice"):
        open_store(tmp_path / "d", "d")


def test_the_contents_of_big_zips_are_kept(tmp_path, source, monkeypatch):
    monkeypatch.setattr(zip_store, "_BIG_BYTES", 1)
    path = tmp_path / "big.zip"
    pack(source, path)
    assert not (tmp_path / ".mstgt_index").exists()
    assert read_all(ZipStore(path)) == FILES
    read = []
    members = zip_store._members
    monkeypatch.setattr(zip_store, "_members", lambda archive: read.append(archive) or members(archive))
    assert read_all(ZipStore(path)) == FILES and read == []
    zip_of(path, [("new.txt", b"1")])
    assert ZipStore(path).list() == ["new.txt"] and read == [path]


def test_folder_zip_and_lmdb_are_found_by_name(tmp_path, source):
    for suffix in ("lmdb", "zip"):
        pack(source, tmp_path / f"set.{suffix}")
    root = tmp_path / "set"
    assert isinstance(open_store(root, "x"), ZipStore)
    root.mkdir()
    assert isinstance(open_store(root, "x"), ZipStore)  # an empty folder is no dataset
    (root / "a").touch()
    assert isinstance(open_store(root, "x"), FolderStore)
    (tmp_path / "set.zip").unlink()
    (root / "a").unlink()
    assert isinstance(open_store(root, "x"), LmdbStore)
    (tmp_path / "set.lmdb").rename(root / "data.mdb")
    assert read_all(open_store(root, "x")) == FILES
    with pytest.raises(UserError, match="no folder, .zip or .lmdb"):
        open_store(source / "list.txt", "x")


# --- archives not to be trusted

@pytest.mark.parametrize("name", ["../x.jpg", "a/../../x.jpg", "/etc/passwd", "C:/x", "a\\..\\x", "a//b", "a\nb"])
def test_names_that_lead_out_of_the_root_are_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"bad\.zip: refused for its entry "):
        ZipStore(zip_of(tmp_path / "bad.zip", [("good.txt", b"1"), (name, b"2")]))


def test_links_and_other_compressions_are_refused(tmp_path):
    link = zipfile.ZipInfo("train/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UserError, match="'train/link': a symbolic link"):
        ZipStore(zip_of(tmp_path / "link.zip", [(link, b"/etc/passwd")]))
    other = zipfile.ZipInfo("a")
    other.compress_type = zipfile.ZIP_BZIP2
    with pytest.raises(UserError, match="other than deflate"):
        ZipStore(zip_of(tmp_path / "bz.zip", [(other, b"a" * 99)]))


@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_a_truncated_zip_is_named(tmp_path, source, keep):
    path = tmp_path / "cut.zip"
    pack(source, path)
    os.truncate(path, keep)
    with pytest.raises(UserError, match=r"cut\.zip is not a whole zip archive"):
        ZipStore(path)


def test_a_corrupt_member_is_named_and_the_others_read(tmp_path, source):
    path = tmp_path / "flip.zip"
    pack(source, path)
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(256))) + 300] ^= 4
    text = data.index(b"train/a/groundtruth.txt") + len("train/a/groundtruth.txt")
    data[text + 2] ^= 0x40  # deflated
    path.write_bytes(data)
    store = ZipStore(path)
    for key in ("train/a/00000001.jpg", "train/a/groundtruth.txt"):
        with pytest.raises(UserError, match=f"flip.zip/{key}: corrupt"):
            store.read(key)
    assert store.read("list.txt") == FILES["list.txt"]


def test_an_archive_replaced_while_in_use_is_named(tmp_path):
    path = zip_of(tmp_path / "a.zip", [("a", b"1")])
    store = ZipStore(path)
    zip_of(path, [("b", b"22")])
    with pytest.raises(UserError, match="has changed while it was in use"):
        store.read("a")


def test_broken_lmdbs_are_named(tmp_path, source):
    (tmp_path / "text.lmdb").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"text\.lmdb: "):
        LmdbStore(tmp_path / "text.lmdb")
    pack(source, tmp_path / "cut.lmdb")
    os.truncate(tmp_path / "cut.lmdb", 3 * 4096)
    with pytest.raises(UserError, match="cut short"):
        LmdbStore(tmp_path / "cut.lmdb")
    pack(source, tmp_path / "flip.lmdb")
    data = (tmp_path / "flip.lmdb").read_bytes()
    at = data.index(FILES["train/a/00000001.jpg"])
    (tmp_path / "flip.lmdb").write_bytes(data[:at] + b"\xff" + data[at + 1:])
    with pytest.raises(UserError, match=r"flip\.lmdb/train/a/00000001\.jpg: corrupt"):
        LmdbStore(tmp_path / "flip.lmdb").read("train/a/00000001.jpg")


def test_an_lmdb_of_another_program_is_refused(tmp_path):
    import lmdb
    with lmdb.open(str(tmp_path / "f.lmdb"), subdir=False, lock=False) as environment, \
            environment.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    with pytest.raises(UserError, match="no directory of its files"):
        LmdbStore(tmp_path / "f.lmdb")


# --- the directory of names

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\:"), min_size=1,
                max_size=6).filter(lambda n: n not in (".", ".."))
all_keys = st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), unique=True, max_size=30)


@given(all_keys)
def test_a_directory_holds_its_keys_and_no_other(keys):
    directory, order = Directory.of(keys)
    assert [keys[i] for i in order] == list(directory.keys()) and len(directory) == len(keys)
    for row, i in enumerate(order):
        assert directory.row(keys[i]) == row and fault_in_key(keys[i]) is None
        assert directory.row(keys[i] + "x") is None or keys[i] + "x" in keys
    folders = {key[:i] for key in keys for i, c in enumerate(key) if c == "/"} | {""}
    for folder in folders:
        start = folder and folder + "/"
        below = {key[len(start):].split("/")[0] for key in keys if key.startswith(start)}
        assert set(directory.list(folder)) == below
