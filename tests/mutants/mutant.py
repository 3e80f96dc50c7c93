"""What a mutant is, and the checks that must turn red on one."""

from dataclasses import dataclass

PROGRAMS, SEED = 250, 3
"""Of a fuzz check: random programs, and what they are drawn from."""


@dataclass(frozen=True)
class Suite:
    """Tests that pytest runs.

    Members:
        names: files, or single tests, from the root of the tree.
    """

    names: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.names)


@dataclass(frozen=True)
class Fuzz:
    """Random programs on simulator and gates, which must agree.

    Members:
        machine: a name of `MACHINES` in tests/cosim/test_cosim.py.
        programs: how many.
    """

    machine: str
    programs: int = PROGRAMS

    def __str__(self) -> str:
        return f"fuzz {self.machine} {self.programs}"


Check = Suite | Fuzz


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One small mistake.

    Members:
        name: what is wrong, in a few words joined by dashes; unique.
        file: where, from the root of the tree.
        old: the text that is replaced; it must occur exactly once.
        new: the text in its place.
        check: what must turn red.
    """

    name: str
    file: str
    old: str
    new: str
    check: Check


def suite(*names: str) -> Suite:
    """The tests of these files (or single tests) below tests/."""
    return Suite(tuple(f"tests/{name}" for name in names))
