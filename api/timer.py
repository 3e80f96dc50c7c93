"""Times of calls that take micro- to milliseconds, on a machine that others use too."""

import statistics
import time
from collections.abc import Callable

LEAST_SAMPLES, SAMPLE_SECONDS = 5, 1e-4
"""The clock's steps, and looking at it, are then below a thousandth."""
WARM_CALLS, WARM_SECONDS = 2, 1e-3
"""Caches are filled, pages there, and threads awake."""
STABLE = 0.01
"""Half of the middle half of the samples, over the root of their number, as a share of the median."""


Clock = Callable[[], int]
"""Nanoseconds since some time."""


def median_seconds(call: Callable[[], object], limit_seconds: float, *, is_shared: bool) -> float:
    """The median time of a call, above 0: as many as it takes until the median is stable.

    Args:
        call: what.
        limit_seconds: after which it ends, stable or not, if there are enough samples.
        is_shared: whether several threads run it: what counts is then the time that passes. Of one thread it
            is the time that it has a processor, which what else runs on the machine does not lengthen.
    """
    clock = time.perf_counter_ns if is_shared else time.thread_time_ns
    repeats = max(1, round(SAMPLE_SECONDS / _warm(call, clock)))
    samples: list[float] = []
    end = time.perf_counter() + limit_seconds
    while len(samples) < LEAST_SAMPLES or (time.perf_counter() < end and not _is_stable(samples)):
        samples.append(_seconds(call, repeats, clock))
    return statistics.median(samples)


def _warm(call: Callable[[], object], clock: Clock) -> float:
    """Seconds of a call, the last of some."""
    calls, begin = 0, time.perf_counter()
    while True:
        seconds = _seconds(call, 1, clock)
        calls += 1
        if calls >= WARM_CALLS and time.perf_counter() - begin >= WARM_SECONDS:
            return seconds


def _seconds(call: Callable[[], object], repeats: int, clock: Clock) -> float:
    begin = clock()
    for _ in range(repeats):
        call()
    # A clock that stood still is no reason to say that it takes no time.
    return max(clock() - begin, 1) / repeats * 1e-9


def _is_stable(samples: list[float]) -> bool:
    low, middle, high = statistics.quantiles(samples, n=4)
    return bool((high - low) / 2 <= STABLE * middle * len(samples) ** 0.5)
