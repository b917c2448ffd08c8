"""Reading plain files of numbers at once. What is not plain is left to the careful parser (``annotation.py``).

    rows = plain_rows(data)      # (rows, width) float64, or None: not plain, or not right

A file is plain when every line has the same separators, single ones (comma, tab, space, or comma and space). Decimal
numbers are read as whole numbers and divided by a power of ten. Both are exact, so the quotient is the number nearest
to the text, the one that ``float`` would give.
"""

from __future__ import annotations

import warnings

import numpy as np

_NUMBER = b"0123456789.+-eENna"  # what numbers and NaN are written with
_EXACT = 2**53  # whole numbers up to here are exact in float64, and so are the powers of ten up to 22
_MOST = 10**18  # whole numbers below fit into int64, and are exact in a long double of 64 bits
_POWERS = 10.0 ** np.arange(23)
_DOT, _COMMA = ord("."), ord(",")


def plain_rows(data: bytes) -> np.ndarray | None:
    """The rows of a plain file, every number finite or NaN; None when it is not plain enough to be sure of its lines.

    On every line the separators are the same ``width - 1`` single characters, so no line holds more than ``width``
    numbers; all lines together hold ``width`` times their number; so each of them holds ``width``.
    """
    data = data.rstrip().replace(b"\r\n", b"\n").replace(b", ", b",")
    separators = data.translate(None, _NUMBER)
    if separators.translate(None, b",\t \n"):
        return None
    pattern = separators[:separators.find(b"\n") + 1] or separators + b"\n"
    width, lines = len(pattern), separators.count(b"\n") + 1
    if separators + b"\n" != pattern * lines:
        return None
    commas = data.translate(bytes.maketrans(b"\t \n", b",,,"))
    values = _decimals(commas, width * lines)
    if values is None:
        values = _floats(commas)
    return values.reshape(lines, width) if values is not None and len(values) == width * lines else None


def plain_digits(data: bytes) -> np.ndarray | None:
    """The numbers of a file of single digits, singly parted, as (n,) float64; None when it is another file."""
    data = data.rstrip()
    if len(data) % 2 and not data[::2].translate(None, b"0123456789") and not data[1::2].translate(None, b", \t\n"):
        return (np.frombuffer(data[::2], np.uint8) - ord("0")).astype(np.float64)
    return None


def _decimals(commas: bytes, count: int) -> np.ndarray | None:
    """``count`` decimal numbers parted by commas; None where there is an exponent, NaN, too many digits, or a fault."""
    bare = commas.replace(b".", b"")
    if bare.translate(None, b"0123456789-,") or not _signs_lead(commas, bare):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            whole = np.fromstring(bare, np.int64, sep=",")
        except (DeprecationWarning, ValueError):  # a field that is no number
            return None
    if len(whole) != count or not count or max(whole.max(), -whole.min()) >= _MOST:
        return None
    places = _decimal_places(commas, count)
    return None if places is None else _quotients(whole, places, commas)


def _signs_lead(commas: bytes, bare: bytes) -> bool:
    """Whether every minus stands at the start of a field and, its dot left out (``bare``), is not all of it."""
    minuses = commas.count(b"-")
    return not minuses or (commas.count(b",-") + commas.startswith(b"-") == minuses
                           and b"-," not in bare and not bare.endswith(b"-"))


def _decimal_places(commas: bytes, count: int) -> np.ndarray | None:
    """How many digits each field has behind its dot; None where a field has two dots, or too many digits."""
    places = np.zeros(count, np.int64)
    if b"." in commas:
        text = np.frombuffer(commas, np.uint8)
        dots, ends = np.flatnonzero(text == _DOT), np.append(np.flatnonzero(text == _COMMA), len(text))
        field = np.searchsorted(ends, dots)
        places[field] = ends[field] - dots - 1
        if (np.diff(field) == 0).any() or places.max() >= len(_POWERS):
            return None
    return places


def _quotients(whole: np.ndarray, places: np.ndarray, commas: bytes) -> np.ndarray | None:
    """``whole`` / 10 ** ``places``, each the float64 nearest to the quotient.

    Whole numbers that float64 cannot hold are divided in long double, whose quotient is rounded a second time. That
    can go wrong only where the first rounding ended half way between two float64; these few are read again.
    """
    values = whole / _POWERS[places]
    long = np.flatnonzero(np.abs(whole) > _EXACT)
    if not long.size:
        return values
    if np.finfo(np.longdouble).nmant < 63:  # no more than float64 on this machine
        return None
    quotients = whole[long].astype(np.longdouble) / _POWERS[places[long]].astype(np.longdouble)
    values[long] = quotients
    gap_below = np.spacing(np.nextafter(np.abs(values[long]), 0))  # the smaller one at a power of two
    doubtful = long[np.abs(quotients - values[long]) * 2 >= gap_below]
    if doubtful.size:
        fields = commas.split(b",")
        values[doubtful] = [float(fields[i]) for i in doubtful]
    return values


def _floats(commas: bytes) -> np.ndarray | None:
    try:
        values = np.array(commas.split(b","), np.float64)
    except ValueError:
        return None
    return None if np.isinf(values).any() else values
