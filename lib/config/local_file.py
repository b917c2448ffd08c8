"""``local.py``, the file that names the folders of this machine.

    values = read_local_file(path, ("data_dir", "lasot_dir"))     # {"lasot_dir": "/disk2/LaSOT"}
    write_local_file(path, values)

It holds assignments, such as ``lasot_dir = '/disk2/LaSOT'``. The file is parsed, never executed.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

from ..utils.errors import UserError, unknown_name
from ..utils.files import write_bytes, write_text


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
            statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # MemoryError: nested too deeply
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = getattr(error, "msg", str(error) or "nested too deeply")
        raise UserError(f"{path}{line}: {reason}; correct or delete the file") from error
    values: dict[str, str] = {}
    for number, statement in enumerate(statements):
        if number == 0 and _is_docstring(statement):
            continue
        name, value = _assignment(statement, path)
        if name not in names:
            raise UserError(f"{path}, line {statement.lineno}: {unknown_name('path', name, names)}")
        values[name] = value
    return values


def write_local_file(path: Path, values: Mapping[str, str]) -> Path | None:
    """Write ``values`` to ``path`` atomically. A different old file is kept as ``local.py.bak``, which is returned."""
    text = '"""The paths of this machine. Edit them freely; the file is read as text and never executed."""\n\n'
    text += "".join(f"{name} = {ascii(value)}\n" for name, value in values.items())
    try:
        old = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    if old == text.encode():
        return None
    backup = None
    if old is not None:
        backup = path.with_name(path.name + ".bak")
        write_bytes(backup, old)
    write_text(path, text)
    return backup


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


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
