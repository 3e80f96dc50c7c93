"""Small damages of files: of their bytes, their words, and the values of their JSON."""

import re
from collections.abc import Callable
from random import Random
from typing import Any

_SOME_BYTES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBER = re.compile(rb"-?(0x[0-9a-fA-F]+|\d+)")
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 255, 256, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63),
    *(-(1 << 31), -(1 << 63), 10**30, -(10**30)),
)
_TEXTS = (b"9" * 5000, b"0x" + b"f" * 5000, b"\xff", b"\x00", b"\xef\xbb\xbf", b'"', b"\\", b"#", b"=", b"\n")
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    *(None, True, False, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "é\n", "\ud800", "x" * 5000),
    *([], {}, [0], [[]], {"a": 1}, [None], [1 << 40, 1 << 40], [-1, 4], [10**30], 10**4000),
)
"""What stands in the place of a value of JSON."""


def damaged_bytes(random: Random, data: bytes) -> bytes:
    """One to three damages of any bytes."""
    for _ in range(random.randint(1, 3)):
        data = random.choice(_BYTE_DAMAGES)(random, data)
    return data


def damaged_text(random: Random, data: bytes) -> bytes:
    """One to three damages of bytes, words or lines."""
    for _ in range(random.randint(1, 3)):
        data = random.choice((*_BYTE_DAMAGES, *_TEXT_DAMAGES, *_TEXT_DAMAGES))(random, data)
    return data


def damaged_value(random: Random, value: Any) -> Any:
    """A value of JSON with one part of it, at any depth, changed, left out or doubled."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        return _damaged_dict(random, value)
    if isinstance(value, list) and value and random.random() < 0.8:
        return _damaged_list(random, value)
    return random.choice(VALUES)


def _damaged_dict(random: Random, value: dict[str, Any]) -> dict[str, Any]:
    key = random.choice(list(value))
    if random.random() < 0.15:
        return {name: each for name, each in value.items() if name != key}
    if random.random() < 0.1:
        return {**value, random.choice(("", "a", key + "_", "é")): random.choice(VALUES)}
    return {**value, key: damaged_value(random, value[key])}


def _damaged_list(random: Random, value: list[Any]) -> list[Any]:
    place = random.randrange(len(value))
    choice = random.random()
    if choice < 0.15:
        return value[:place] + value[place + 1 :]
    if choice < 0.3:
        return [*value[:place], value[place], *value[place:]]
    return [*value[:place], damaged_value(random, value[place]), *value[place + 1 :]]


# --- bytes -------------------------------------------------------------------------------------------------


def _range(random: Random, data: bytes) -> tuple[int, int]:
    first = random.randrange(len(data) + 1)
    return first, min(len(data), first + random.choice((1, 1, 2, 4, 8, 64, 1024)))


def _set(random: Random, data: bytes) -> bytes:
    first, _ = _range(random, data)
    value = random.choice((random.randrange(256), *_SOME_BYTES))
    return data[:first] + bytes([value]) + data[first + 1 :]


def _flip(random: Random, data: bytes) -> bytes:
    if not data:
        return data
    place = random.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]


def _fill(random: Random, data: bytes) -> bytes:
    first, end = _range(random, data)
    return data[:first] + bytes([random.choice(_SOME_BYTES)]) * (end - first) + data[end:]


def _drop(random: Random, data: bytes) -> bytes:
    first, end = _range(random, data)
    return data[:first] + data[end:]


def _double(random: Random, data: bytes) -> bytes:
    first, end = _range(random, data)
    return data[:end] + data[first:end] * random.choice((1, 1, 3)) + data[end:]


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _insert(random: Random, data: bytes) -> bytes:
    first, _ = _range(random, data)
    return data[:first] + random.randbytes(random.choice((1, 2, 4, 100))) + data[first:]


def _move(random: Random, data: bytes) -> bytes:
    (first, end), (to, _) = _range(random, data), _range(random, data)
    return data[:to] + data[first:end] + data[to:]


Damage = Callable[[Random, bytes], bytes]
_BYTE_DAMAGES: tuple[Damage, ...] = (_set, _set, _flip, _flip, _fill, _drop, _double, _cut, _insert, _move)


# --- text --------------------------------------------------------------------------------------------------


def _other_number(random: Random, data: bytes) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    match = random.choice(found)
    new = random.choice((*(str(number).encode() for number in NUMBERS), *_TEXTS[:2]))
    return data[: match.start()] + new + data[match.end() :]


def _other_word(random: Random, data: bytes) -> bytes:
    words = list(re.finditer(rb"\S+", data))
    if not words:
        return data
    match, other = random.choice(words), random.choice(words)
    new = random.choice((other[0], b"", match[0] + other[0], random.choice(_TEXTS)))
    return data[: match.start()] + new + data[match.end() :]


def _other_lines(random: Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    place, other = random.randrange(len(lines)), random.randrange(len(lines))
    new = random.choice(([], [lines[place]] * 2, [lines[other]], [lines[place], lines[other]]))
    return b"\n".join([*lines[:place], *new, *lines[place + 1 :]])


def _put_text(random: Random, data: bytes) -> bytes:
    first, _ = _range(random, data)
    return data[:first] + random.choice(_TEXTS) + data[first:]


_TEXT_DAMAGES: tuple[Damage, ...] = (_other_number, _other_word, _other_lines, _put_text)
