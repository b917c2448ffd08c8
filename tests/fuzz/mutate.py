"""Damage to bytes and to values, from a seeded random generator: the same seed gives the same damage."""

from __future__ import annotations

import copy
import json
import math
import random
from typing import Any

NUMBERS = (b"0", b"-1", b"1e308", b"-1e-320", b"nan", b"inf", b"99999999999999999999", b"1_0", b"0x10", b"1e7", b".",
           b"-")
WORDS = (b"\0", b"\n", b"\r", b",", b",,", b"\xff", b"\xef\xbb\xbf", b"\x1b[2J", b"../../x", b"/etc/passwd", b"{",
         b"[" * 300, b"]", b'"', b"'", b"&a ", b"*a", b"!!python/object/apply:os.mkdir [x]", b"\xe2\x80\xa8", b"\x1c",
         b"%", b"$", b"A" * 400)
WIDE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1,
        (1 << 64) - 1)
VALUES = (None, True, -1, 0, 1, 10**9, 10**30, -(10**400), 0.5, -1e308, math.nan, math.inf, "", "x", "../../x",
          "/etc/passwd", "\0", "\x1b[2J", "\ud800", "é" * 300, "1", [], {}, [1], [[[]]], {"a": 1}, "x" * 5000, [0] * 50)


def mutate(data: bytes, rng: random.Random, others: tuple[bytes, ...] = ()) -> bytes:
    """``data`` with one to six faults."""
    corrupt = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        _KINDS[rng.randrange(len(_KINDS))](corrupt, rng, others)
    return bytes(corrupt)


def mutate_tree(value: Any, rng: random.Random) -> Any:
    """A copy of nested dicts and lists in which one to three values, keys or branches are others."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(VALUES)
        holder, key = rng.choice(places)
        kind = rng.randrange(6)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(("", "x", "../x", "\0", 5, None, "ema"))] = holder.pop(key)
        elif kind == 2:
            holder[key] = copy.deepcopy(rng.choice(places)[0])
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def as_json(value: Any) -> bytes:
    return json.dumps(value, default=str).encode()


def _places(value: Any, depth: int = 0) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        if depth < 6:
            yield from _places(inner, depth + 1)


def _at(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


def _flip(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 10, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    del data[_at(data, rng):]


def _remove(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    at = _at(data, rng)
    del data[at:at + rng.choice((1, 2, 4, 16, 200))]


def _repeat(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    at = _at(data, rng)
    data[at:at] = data[at:at + rng.choice((1, 4, 30))] * rng.choice((1, 2, 50))


def _insert(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    at = _at(data, rng)
    data[at:at] = rng.choice(NUMBERS + WORDS)


def _replace(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    at, word = _at(data, rng), rng.choice(NUMBERS + WORDS)
    data[at:at + rng.choice((1, len(word)))] = word


def _number(data: bytearray, rng: random.Random, _others: tuple[bytes, ...]) -> None:
    at, size = _at(data, rng), rng.choice((1, 2, 4, 8))
    data[at:at + size] = (rng.choice(WIDE) % (1 << 8 * size)).to_bytes(size, rng.choice(("little", "big")))


def _splice(data: bytearray, rng: random.Random, others: tuple[bytes, ...]) -> None:
    if others:
        other = rng.choice(others)
        data[_at(data, rng):] = other[rng.randrange(len(other) + 1):]


_KINDS = (_flip, _set, _cut, _remove, _repeat, _insert, _replace, _number, _splice)
