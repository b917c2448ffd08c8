"""Which of default, local.py, environment and flag wins; local.py round trip and its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mstgt.config import PROJECT_ROOT, load_paths
from mstgt.config.paths import (
    DATASET_FOLDERS,
    ENVIRONMENT,
    LOCAL_FILES,
    LOCAL_NAMES,
    SHIPPED,
    local_values,
    read_local_file,
    write_local_file,
)
from mstgt.utils.errors import UserError


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for variable in ENVIRONMENT.values():
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def local(tmp_path):
    return tmp_path / "local.py"


def test_defaults_lie_in_the_project(local):
    paths = load_paths(local_file=local)
    assert paths.workspace_dir == PROJECT_ROOT
    assert paths.data_dir == PROJECT_ROOT / "data"
    assert paths.save_dir == PROJECT_ROOT / "output"
    assert paths.pretrained_dir == PROJECT_ROOT / "pretrained_networks"
    assert paths.dataset("imagenet_vid") == PROJECT_ROOT / "data" / "vid"


def test_each_layer_wins_over_the_weaker(local, monkeypatch):
    local.write_text("data_dir = '/l/data'\nsave_dir = '/l/out'\npretrained_dir = '/l/pre'\nlasot_dir = '/disk2/L'\n")
    paths = load_paths(local_file=local)
    assert [str(p) for p in (paths.data_dir, paths.save_dir, paths.pretrained_dir)] == ["/l/data", "/l/out", "/l/pre"]
    assert (paths.dataset("lasot"), paths.dataset("otb")) == (Path("/disk2/L"), Path("/l/data/otb"))

    monkeypatch.setenv("MSTGT_SAVE_DIR", "/e/out")
    monkeypatch.setenv("MSTGT_PRETRAINED_DIR", "/e/pre")
    paths = load_paths(local_file=local)
    assert (paths.save_dir, paths.pretrained_dir) == (Path("/e/out"), Path("/e/pre"))
    assert paths.dataset("lasot") == Path("/disk2/L")

    monkeypatch.setenv("MSTGT_DATA_DIR", "/e/data")
    assert load_paths(local_file=local).dataset("lasot") == Path("/e/data/lasot")
    paths = load_paths("/f/data", "/f/out", local_file=local)
    assert (paths.dataset("lasot"), paths.save_dir) == (Path("/f/data/lasot"), Path("/f/out"))


def test_relative_flags_are_from_the_current_folder(local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = load_paths("d/../here", "", local_file=local)
    assert paths.data_dir == tmp_path / "here"
    assert paths.save_dir == PROJECT_ROOT / "output"


def test_relative_local_paths_are_from_the_workspace(local):
    local.write_text('workspace_dir = "/w"\nlasot_dir = "sets/lasot"\n')
    paths = load_paths(local_file=local)
    assert paths.dataset("lasot") == Path("/w/sets/lasot")
    assert (paths.dataset("otb"), paths.save_dir) == (Path("/w/data/otb"), Path("/w/output"))


def test_unknown_dataset_lists_the_known(local):
    with pytest.raises(UserError, match="did you mean 'lasot'.*trackingnet"):
        load_paths(local_file=local).dataset("lasto")


def test_train_and_test_have_a_local_file_each():
    assert LOCAL_FILES["train"].relative_to(PROJECT_ROOT) == Path("lib/train/admin/local.py")
    assert LOCAL_FILES["test"].relative_to(PROJECT_ROOT) == Path("lib/test/evaluation/local.py")


def test_generated_file_round_trip_with_odd_characters(local, tmp_path):
    folder = tmp_path / "it's \"odd\" \\n {x} \n\té'''"
    values = local_values(folder, folder / "data", folder / "out")
    assert write_local_file(local, values) is None
    assert read_local_file(local, LOCAL_NAMES) == values
    paths = load_paths(local_file=local)
    assert paths.save_dir == folder / "out" and paths.pretrained_dir == folder / "pretrained_networks"
    assert {name: paths.dataset(name) for name in DATASET_FOLDERS} == {
        name: folder / "data" / sub for name, sub in DATASET_FOLDERS.items()}


@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1))
def test_any_text_round_trips(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("local") / "local.py"
    write_local_file(path, {"data_dir": value})
    assert read_local_file(path, LOCAL_NAMES) == {"data_dir": value}


def test_an_edited_file_is_kept(local):
    write_local_file(local, {"data_dir": "/a"})
    assert write_local_file(local, {"data_dir": "/a"}) is None
    before = local.read_text()
    backup = write_local_file(local, {"data_dir": "/b"})
    assert backup == local.with_name("local.py.bak") and backup.read_text() == before
    assert read_local_file(local, LOCAL_NAMES) == {"data_dir": "/b"}


@pytest.mark.parametrize(("text", "line", "part"), [
    ("data_dir = '/a'\nlasto_dir = '/b'\n", 2, "did you mean 'lasot_dir'"),
    ("data_dir = '/a\n", 1, ""),
    ("import os\n", 1, "not executed"),
    ("data_dir = __import__('os').getcwd()\n", 1, "not executed"),
    ("data_dir = 3\n", 1, "not executed"),
    ("data_dir = save_dir = '/a'\n", 1, "not executed"),
    ("\ndata_dir = ''\n", 2, "data_dir is not a path"),
])
def test_mistakes_in_local_file_name_file_and_line(local, text, line, part):
    local.write_text(text)
    with pytest.raises(UserError) as caught:
        load_paths(local_file=local)
    message = str(caught.value)
    assert message.startswith(f"{local}, line {line}: ") and part in message and "\n" not in message


def test_null_bytes_in_local_file(local):
    local.write_bytes(b"data_dir = '/a'\0\n")
    with pytest.raises(UserError, match=r"local\.py"):
        load_paths(local_file=local)


def test_a_missing_pretrained_file_says_what_to_do(local):
    with pytest.raises(UserError, match=r"mae.pth.*HiViT.*--set MODEL.PRETRAIN_FILE=") as error:
        load_paths(local_file=local).pretrained("mae.pth")
    assert "\n" not in str(error.value)


def test_weights_to_start_from_by_name_or_path(local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MSTGT_PRETRAINED_DIR", str(tmp_path / "pretrained"))
    for name in ("pretrained/own.pth", "pretrained/stage/own.pth", "runs/own.pth", "own.pth", "here.pth"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pretrained = load_paths(local_file=local).pretrained
    for file, found in (("own.pth", "pretrained/own.pth"), ("stage/own.pth", "pretrained/stage/own.pth"),
                        ("runs/own.pth", "runs/own.pth"), ("./runs/../here.pth", "here.pth"), ("here.pth", "here.pth"),
                        (str(tmp_path / "own.pth"), "own.pth")):
        assert pretrained(file).samefile(tmp_path / found), file
    assert pretrained("MSTGT-nano.safetensors") == SHIPPED / "MSTGT-nano.safetensors"
    with pytest.raises(UserError, match=f"{tmp_path}/pretrained/runs is not there, nor {tmp_path}/runs. Put it"):
        pretrained("runs")
    with pytest.raises(UserError, match=f": {tmp_path}/no.pth is not there. Put it"):
        pretrained(str(tmp_path / "no.pth"))
    with pytest.raises(UserError, match="is not there"):
        pretrained("x" * 5000)
