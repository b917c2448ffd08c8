"""The folders of data, results and pretrained weights, and the checkpoints of an experiment.

    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    paths.dataset("lasot")                                              # /home/me/data/lasot
    folder = run_folder(paths.save_dir, "mstgt", "MSTGT-nano-128")      # <save_dir>/checkpoints/train/mstgt/…
    checkpoint_path(folder, 24)                                         # …/MSTGT_ep0024.pth.tar

In the order of increasing priority: ``data``, ``output`` and ``pretrained_networks`` in the clone (for an installed
package: in the current folder); the ``local.py`` of the mode, train or test
(``python tracking/create_default_local_file.py`` writes both); the environment variables ``MSTGT_DATA_DIR``,
``MSTGT_SAVE_DIR`` and ``MSTGT_PRETRAINED_DIR``; the flags. A data folder from the environment or a flag applies to all
datasets. A ``local.py`` holds assignments, such as ``lasot_dir = '/disk2/LaSOT'``; it is parsed, never executed.

``DATASET_FOLDERS`` lists the folder of every dataset; a new dataset needs a line there.
"""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..utils.errors import UserError, explain_os_error, unknown_name
from ..utils.files import write_bytes, write_text

_PACKAGE = Path(__file__).resolve().parents[1]
# A clone keeps experiments/, pretrained_networks/ and tracking/ beside lib/; a wheel carries them inside the package.
IS_CLONE = (_PACKAGE.parent / "pyproject.toml").is_file() and (_PACKAGE.parent / "experiments").is_dir()
PROJECT_ROOT = _PACKAGE.parent if IS_CLONE else _PACKAGE
SHIPPED = PROJECT_ROOT / "pretrained_networks"  # the weights that come with the project
WEIGHTS_SUFFIX = ".safetensors"
_CHECKPOINT_NAME = re.compile(r"MSTGT_ep(\d{4,})\.pth\.tar")

Mode = Literal["train", "test"]

# An installed package is not written to: there, the files are in the current folder.
LOCAL_FILES: dict[Mode, Path] = {
    "train": PROJECT_ROOT / "lib" / "train" / "admin" / "local.py" if IS_CLONE else Path("local_train.py"),
    "test": PROJECT_ROOT / "lib" / "test" / "evaluation" / "local.py" if IS_CLONE else Path("local_test.py"),
}

# Dataset name: its folder under data_dir.
DATASET_FOLDERS: dict[str, str] = {
    "lasot": "lasot",
    "lasot_extension_subset": "lasot_extension_subset",
    "got10k": "got10k",  # holds train/, val/ and test/
    "trackingnet": "trackingnet",
    "coco": "coco",
    "imagenet_vid": "vid",
    "uav": "uav",
    "otb": "otb",
    "nfs": "nfs",
    "tnl2k": "tnl2k",
    "vot": "vot",
    "synthetic": "synthetic",
    "photos": "photos",
}

ENVIRONMENT = {"data_dir": "MSTGT_DATA_DIR", "save_dir": "MSTGT_SAVE_DIR", "pretrained_dir": "MSTGT_PRETRAINED_DIR"}
DEFAULT_FOLDERS = {"data_dir": "data", "save_dir": "output", "pretrained_dir": "pretrained_networks"}
LOCAL_NAMES = ("workspace_dir", *DEFAULT_FOLDERS, *(f"{name}_dir" for name in DATASET_FOLDERS))


@dataclass(frozen=True)
class Paths:
    """Absolute folders, which need not exist."""

    workspace_dir: Path
    data_dir: Path
    save_dir: Path
    pretrained_dir: Path
    dataset_dirs: Mapping[str, Path] = field(repr=False)

    def dataset(self, name: str) -> Path:
        """The root of a dataset. Raises :class:`UserError` for a name that is not in ``DATASET_FOLDERS``."""
        if name not in self.dataset_dirs:
            raise unknown_name("dataset folder", name, self.dataset_dirs)
        return self.dataset_dirs[name]

    def pretrained(self, file: str) -> Path:
        """The file of weights to start from: in the folder of pretrained weights, else among those that come with the
        project, else by its path from the current folder. An absolute path is that file.

        Raises :class:`UserError` saying where to get it where it is in none of these places.
        """
        own, here = self.pretrained_dir / file, Path.cwd() / file
        for path in (own, SHIPPED / file, here):
            if os.path.isfile(path):  # False, too, for a name that is too long for a file
                return path
        elsewhere = "" if own == here else f", nor {here}"
        raise UserError(f"no weights to start from: {own} is not there{elsewhere}. Put it there "
                        "(mae_hivit_*.pth come from the HiViT authors, github.com/zhangxiaosong18/hivit), or train "
                        "without: --set MODEL.PRETRAIN_FILE=''")


def load_paths(data_dir: str | Path | None = None, save_dir: str | Path | None = None, mode: Mode = "train",
               local_file: Path | None = None) -> Paths:
    """The paths of a mode.

    data_dir, save_dir  values of the flags; None if they are not given
    local_file          default: that of the mode

    Relative folders in flags and environment variables are relative to the current folder, those in ``local.py`` to its
    ``workspace_dir``. Raises :class:`UserError` for an invalid ``local.py``.
    """
    local = read_local_file(local_file or LOCAL_FILES[mode], LOCAL_NAMES)
    default = PROJECT_ROOT if IS_CLONE else Path.cwd()
    workspace = _absolute(local.get("workspace_dir", "."), default)
    folders = {name: default / folder for name, folder in DEFAULT_FOLDERS.items()}
    if "workspace_dir" in local:
        folders = {name: workspace / folder for name, folder in DEFAULT_FOLDERS.items()}
    folders |= {name: _absolute(local[name], workspace) for name in folders if name in local}
    # A data folder that is given now wins over the dataset folders that local.py lists.
    stronger = _stronger({"data_dir": data_dir, "save_dir": save_dir})
    folders |= stronger
    datasets = {name: folders["data_dir"] / folder for name, folder in DATASET_FOLDERS.items()}
    if "data_dir" not in stronger:
        datasets |= {name: _absolute(local[f"{name}_dir"], workspace)
                     for name in datasets if f"{name}_dir" in local}
    return Paths(workspace_dir=workspace, dataset_dirs=datasets, **folders)


def local_values(workspace_dir: str | Path, data_dir: str | Path, save_dir: str | Path) -> dict[str, str]:
    """The contents of a generated ``local.py``: every name with its absolute path."""
    workspace, data, save = (_absolute(str(p), Path.cwd()) for p in (workspace_dir, data_dir, save_dir))
    values = {"workspace_dir": workspace, "data_dir": data, "save_dir": save,
              "pretrained_dir": workspace / DEFAULT_FOLDERS["pretrained_dir"]}
    values |= {f"{name}_dir": data / folder for name, folder in DATASET_FOLDERS.items()}
    return {name: str(path) for name, path in values.items()}


def _stronger(flags: Mapping[str, str | Path | None]) -> dict[str, Path]:
    """The folders from flags, or else from environment variables. Empty values count as not given."""
    given: dict[str, str | Path | None] = {name: os.environ.get(variable) for name, variable in ENVIRONMENT.items()}
    given |= {name: flag for name, flag in flags.items() if flag}
    return {name: _absolute(str(value), Path.cwd()) for name, value in given.items() if value}


def _absolute(folder: str, base: Path) -> Path:
    return Path(os.path.normpath(base / os.path.expanduser(folder)))


def run_folder(save_dir: Path, script: str, config: str) -> Path:
    """The folder of an experiment's training run."""
    return save_dir / "checkpoints" / "train" / script / config


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """The checkpoint written after ``epoch`` epochs (the published code's name)."""
    return folder / f"MSTGT_ep{epoch:04d}.pth.tar"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest epoch first."""
    found = [(int(m[1]), p) for p in folder.glob("*.pth.tar") if (m := _CHECKPOINT_NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found)]


def read_local_file(path: Path, names: Collection[str]) -> dict[str, str]:
    """The assignments in ``path``; {} if there is no such file.

    Raises :class:`UserError` with file and line for anything but ``name = 'text'`` with a name of ``names``.
    """
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # MemoryError: nested too deeply
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = getattr(error, "msg", str(error) or "nested too deeply")
        raise UserError(f"{path}{line}: {reason}; correct or delete the file") from error
    values: dict[str, str] = {}
    for statement in tree.body if ast.get_docstring(tree) is None else tree.body[1:]:
        name, value = _assignment(statement, path)
        if name not in names:
            raise UserError(f"{path}, line {statement.lineno}: {unknown_name('path', name, names)}")
        values[name] = value
    return values


def write_local_file(path: Path, values: Mapping[str, str]) -> Path | None:
    """Write ``values`` to ``path`` atomically. A different old file is kept as ``local.py.bak``, which is returned."""
    text = '"""The paths of this machine. Edit them freely; the file is read as text and never executed."""\n\n'
    text += "".join(f"{name} = {ascii(value)}\n" for name, value in values.items())
    with explain_os_error(f"cannot read {path}"):
        old = path.read_bytes() if path.exists() else None
    if old == text.encode():
        return None
    backup = None
    if old is not None:
        backup = path.with_name(path.name + ".bak")
        write_bytes(backup, old)
    write_text(path, text)
    return backup


def _assignment(statement: ast.stmt, path: Path) -> tuple[str, str]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))):
            pass
        case _:
            raise UserError(f"{path}, line {statement.lineno}: only lines such as lasot_dir = '/disk/lasot' "
                            "belong here (the file is read, not executed)")
    if not value or "\0" in value:
        raise UserError(f"{path}, line {statement.lineno}: {name} is not a path; give a folder or delete the line")
    return name, value
