"""The guard that commands run in: what is printed and logged cannot control a terminal."""

import argparse
import logging
import sys

import pytest

from mstgt.utils.errors import UserError, one_line, run_command

NAME = "a\x1b[2Jb\x07\u009bc"


@pytest.fixture(autouse=True)
def record_factory():
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


def test_control_characters_do_not_reach_the_terminal(capsys):
    def main():
        print(f"{NAME}: written\tas\nlines", flush=True)
        logging.getLogger("x").warning("%s is passed over", NAME + "\n")
        raise UserError(f"{NAME} is refused")

    stdout = sys.stdout
    with pytest.raises(SystemExit) as end:
        run_command(main)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and sys.stdout is stdout
    assert out == "a\\x1b[2Jb\\x07\\x9bc: written\tas\nlines\n"
    assert err.endswith("error: a\\x1b[2Jb\\x07\\x9bc is refused\n")


def test_carriage_returns_are_for_progress_bars_and_colors_for_libraries(capsys):
    def main():
        print("a\rb")
        print("\r50 % \x1b[1;33mwarning\x1b[0m \x1b[2J\x1b]0;title\x07\r", file=sys.stderr)

    with pytest.raises(SystemExit):
        run_command(main)
    out, err = capsys.readouterr()
    assert out == "a\\rb\n"
    assert err == "\r50 % \x1b[1;33mwarning\x1b[0m \\x1b[2J\\x1b]0;title\\x07\\r\n"


def test_arguments_that_argparse_refuses_are_one_line_and_escaped(capsys):
    stderr = sys.stderr
    with pytest.raises(SystemExit) as end:
        run_command(lambda: argparse.ArgumentParser(prog="draw").parse_args([NAME + "\n"]))
    assert end.value.code == 2 and sys.stderr is stderr
    assert capsys.readouterr().err == ("error: unrecognized arguments: a\\x1b[2Jb\\x07\\x9bc\\n "
                                       "(draw --help explains the arguments)\n")


def test_log_messages_are_one_line_without_control_characters(caplog):
    with pytest.raises(SystemExit):
        run_command(lambda: logging.getLogger("x").warning("%s is passed over", NAME + "\n"))
    assert caplog.messages == [one_line(NAME + "\n") + " is passed over"] and "\x1b" not in caplog.text
