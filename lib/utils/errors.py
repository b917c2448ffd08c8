"""The one error class for mistakes that a user can mend, and the guard that every command runs in.

A ``UserError`` is printed as one line, without a traceback, and ends the command with status 1.
Anything else keeps its traceback: it is a defect of the project.
"""

from __future__ import annotations

import difflib
import os
import re
import reprlib
import signal
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # the last: bytes that are no UTF-8
_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


class UserError(Exception):
    """A mistake in what the user gave. The message is one line that names the thing and what to do."""


class WouldOverwriteError(UserError):
    """Something is there already and the caller did not allow to replace it."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """An error for a name that is in no table: names the nearest known one and lists all of them. Of a long name, which
    a damaged file may hold, the middle is left out."""
    known = sorted(known)
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return UserError(f"unknown {kind} {_SHORT.repr(name)}{hint} (known: {', '.join(known)})")


def one_line(text: object) -> str:
    """``text`` without anything that could break its line or steer a terminal: such characters as ``\\x1b``."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def _interrupt_once(*_: object) -> NoReturn:
    """The first Ctrl-C. A second one is not to break off how the command ends: what it has started ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and leave the process with its exit status.

    User errors become one line on standard error and status 1, Ctrl-C status 130. What the terminal cannot show
    (a file name that is no UTF-8) is written as ``\\udcff``.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once)
    try:
        status = main() or 0
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)
