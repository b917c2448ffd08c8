"""The one error class for mistakes that a user can mend, and the guard that every command runs in.

A ``UserError`` is printed as one line, without a traceback, and ends the command with status 1.
Anything else keeps its traceback: it is a defect of the project.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import logging
import os
import re
import reprlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn, TextIO, cast

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # the last: bytes that are no UTF-8
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline
# Of standard error, what progress bars and libraries write there stays: a carriage return before everything else, and
# colors (ESC [ … m).
_CONTROL_IN_BARS = re.compile(r"(?s:(?<=.)\r|(?!\x1b\[[0-9;]{0,20}m)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f])")
_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


class UserError(Exception):
    """A mistake in what the user gave. The message is one line that names the thing and what to do."""


class WouldOverwriteError(UserError):
    """Something is there already and the caller did not allow to replace it."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return an error for a name that is in no table: it names the nearest known one and lists all of them.

    The middle of a long name, which a corrupt file may hold, is left out. What a caller gives in place of a name need
    not be text.
    """
    known = sorted(known)
    folded = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(str(name).casefold(), folded, n=1)
    hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
    return UserError(f"unknown {kind} {_SHORT.repr(name)}{hint} (known: {', '.join(known)})")


@contextlib.contextmanager
def explain_os_error(what: str) -> Iterator[None]:
    """Within the block, an ``OSError`` becomes a :class:`UserError`: ``what`` and the reason, such as "No space left".

        with explain_os_error(f"cannot read {path}"):
            data = path.read_bytes()
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {error.strerror or error}") from error


def explain_worker_start() -> contextlib.AbstractContextManager[None]:
    """Within the block, which makes a pool of processes, a full /dev/shm is a :class:`UserError`: Python keeps the
    semaphores of a pool there."""
    return explain_os_error("worker processes cannot be started: they need room in /dev/shm, --workers 1 needs none")


def shortened(names: Sequence[str], most: int = 3) -> str:
    """The first ``most`` of ``names``, and how many more there are: ``a, b, c and 7 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def one_line(text: object) -> str:
    """Return ``text`` with every character escaped that could break its line or control a terminal (``\\x1b``)."""
    return _CONTROL.sub(_escaped, str(text))


def first_line(error: Exception, most: int = 200) -> str:
    """Return the first line of an error's message, without its full stop and at most ``most`` characters long.

    An error without a message gives the name of its class.
    """
    lines = str(error).splitlines() or [type(error).__name__]
    return one_line(lines[0].rstrip(".")[:most])


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


class _EscapingStream:
    """A stream without the characters of ``control``: a file's name must not be able to control the terminal."""

    def __init__(self, stream: TextIO, control: re.Pattern[str]):
        self._stream = stream
        self._control = control

    def write(self, text: str) -> int:
        return self._stream.write(self._control.sub(_escaped, text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _EscapingRecord(logging.LogRecord):
    """A log record of one line, without control characters."""

    def getMessage(self) -> str:
        return one_line(super().getMessage())


@functools.cache
def warn_once(logger: logging.Logger, line: str) -> None:
    """Log a warning, unless this process has logged the same line before."""
    logger.warning("%s", line)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: what is cleaned up after Ctrl-C is cleaned up then, too."""


def _interrupt_once(number: int, _: object) -> NoReturn:
    """Handle the first Ctrl-C or SIGTERM; a second must not interrupt the command while it ends what it has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Terminated if number == signal.SIGTERM else KeyboardInterrupt


def _refuse_arguments(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    """``parser.error`` of a command: one line, where argparse would print its usage before it."""
    parser.exit(2, f"error: {one_line(message)} ({parser.prog} --help explains the arguments)\n")


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's ``main`` and leave the process with its exit status.

    User errors become one line on standard error and status 1, arguments that argparse refuses one line and status 2,
    Ctrl-C status 130, SIGTERM 143. What the terminal cannot show (a file name that is no UTF-8) is written as
    ``\\udcff``, control characters in what is printed or logged as ``\\x1b``. Colors and progress bars on standard
    error stay as they are.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt_once)
    logging.setLogRecordFactory(_EscapingRecord)
    # Here and not in a subclass, so that no command's parser can lack it.
    argparse.ArgumentParser.error = _refuse_arguments  # type: ignore[assignment, method-assign]
    stdout, stderr = sys.stdout, sys.stderr
    sys.stdout = cast(TextIO, _EscapingStream(stdout, _CONTROL_IN_LINES))
    sys.stderr = cast(TextIO, _EscapingStream(stderr, _CONTROL_IN_BARS))
    try:
        status = main() or 0
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt as interrupt:
        done, number = ("terminated", signal.SIGTERM) if isinstance(interrupt, _Terminated) \
            else ("interrupted", signal.SIGINT)
        print(one_line(f"{done}; {interrupt}" if str(interrupt) else done), file=sys.stderr)
        status = 128 + number
    except BrokenPipeError:  # the reader of our output (head, less) went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    finally:
        sys.stdout, sys.stderr = stdout, stderr
    sys.exit(status)
