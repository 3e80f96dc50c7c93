"""One measurement in this process, whatever the runner does to it short of ending it."""

from dataclasses import replace
from time import perf_counter

from tilewright.compiler.space.point import Point
from tilewright.tune.measure import Runner
from tilewright.tune.outcome import Kind, Outcome

_DETAIL_LETTERS = 300


def attempt(runner: Runner, point: Point) -> Outcome:
    """The outcome of a point; what the runner raises is CRASHED.

    An outcome that does not say how long it took gets the time that passed here.
    """
    start = perf_counter()
    try:
        found: object = runner(point)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # it surfaces: as the outcome of this point
        found = Outcome(kind=Kind.CRASHED, detail=described(error))
    if not isinstance(found, Outcome):
        found = Outcome(
            kind=Kind.CRASHED, detail=f"a runner must return an Outcome, not {short(repr(found))}"
        )
    return replace(found, seconds=found.seconds or perf_counter() - start, detail=short(found.detail))


def described(error: BaseException) -> str:
    """The type of an error and the first line that it says."""
    return short(f"{type(error).__name__}: {error}".rstrip(": \n"))


def short(text: str) -> str:
    """The first line of a text, or its beginning where that is long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _DETAIL_LETTERS else line[: _DETAIL_LETTERS - 1] + "…"
