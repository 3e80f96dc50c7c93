"""The cycles that lead to a broken claim, read from the solver's front end and set out as a table."""

import re
from pathlib import Path

_ROWS = 60
"""As many signals are shown; the rest is in units further inside."""
_SCOPES = 2
"""Names of units before a signal's own name: what is shown first, the bench and what it holds."""
_CYCLES = 24
"""As many are shown: the last ones."""
_DIGITS = 16
"""Of a value: the lowest ones."""
_UNNAMED = re.compile(r"(^|\.)(\\|clk$)|(^|\.)claim_\d+$")

Waves = dict[str, list[int]]
"""Values of each signal, one a cycle, by its name: units and signal, joined by dots."""


def read_waves(text: str) -> Waves:
    """The waves of a VCD file as yosys-smtbmc writes it: ten units of time are a cycle."""
    names: dict[str, str] = {}
    waves: Waves = {}
    current: dict[str, int] = {}
    scope: list[str] = []
    for words in map(str.split, text.splitlines()):
        match words:
            case ["$scope", _, name, "$end"]:
                scope.append(name)
            case ["$upscope", "$end"]:
                scope.pop()
            case ["$var", "wire", _, code, name, *_, "$end"]:
                names[code] = ".".join([*scope[1:], name])
            case [value, code] if value.startswith("b"):
                current[code] = int(value[1:].replace("x", "0"), 2)
            case [time] if time.startswith("#") and int(time[1:]) % 10 == 0 and current:
                _append(waves, names, current)
    return waves


def _append(waves: Waves, names: dict[str, str], current: dict[str, int]) -> None:
    for code, value in current.items():
        if code in names:
            waves.setdefault(names[code], []).append(value)


def broken_claims(waves: Waves, claims: dict[str, str]) -> list[str]:
    """The texts of the claims that do not hold in the last cycle."""
    return [text for name, text in claims.items() if waves[f"own.{name}"][-1] == 0]


def trace_table(path: Path, claims: dict[str, str]) -> str:
    """Which claims are broken, and what every signal near the bench did in the cycles up to that."""
    waves = read_waves(path.read_text())
    lines = [f"does not hold: {text}" for text in broken_claims(waves, claims)]
    shown = {name: values for name, values in sorted(waves.items(), key=_order) if _is_shown(name, values)}
    rows = dict(list(shown.items())[:_ROWS])
    cycles = max((len(values) for values in waves.values()), default=0)
    first = max(cycles - _CYCLES, 0)
    columns = [["in cycle", *map(str, range(first, cycles))]]
    columns += [[name, *map(_hexadecimal, values[first:])] for name, values in rows.items()]
    widths = [max(map(len, column)) for column in zip(*columns, strict=True)]
    lines += [" ".join(map(_padded, row, range(len(row)), widths)).rstrip() for row in columns]
    if len(shown) > len(rows):
        lines.append(f"… and {len(shown) - len(rows)} signals further inside")
    return "\n".join(lines)


def _hexadecimal(value: int) -> str:
    digits = f"{value:x}"
    return digits if len(digits) <= _DIGITS else f"…{digits[1 - _DIGITS :]}"


def _order(item: tuple[str, list[int]]) -> tuple[int, str]:
    return item[0].count("."), item[0]


def _is_shown(name: str, values: list[int]) -> bool:
    return not _UNNAMED.search(name) and (any(values) or name.count(".") < _SCOPES)


def _padded(cell: str, place: int, width: int) -> str:
    return cell.rjust(width) if place else cell.ljust(width)
