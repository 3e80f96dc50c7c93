"""Times of calls that are measured against each other, in turns in one process."""

import statistics
import time
from collections.abc import Callable, Sequence

Call = Callable[[], object]
Clock = Callable[[], float]

TURN_CALLS = 5
"""Calls of one turn where there are several threads; the first one wakes them and does not count."""
REST_SECONDS = 0.1
"""Before such a turn: threads of the last one look for work some ten milliseconds long, on a processor that
this one needs."""


def median_seconds(
    calls: Sequence[Call], threads: int, repeats: int, clock: Clock = time.perf_counter
) -> list[float]:
    """Median time of each call.

    Args:
        calls: take turns: after each call on one thread, else after `TURN_CALLS`, with a rest between them.
        threads: of each call.
        repeats: how many times of each call count, at least.
        clock: of seconds; that of the thread counts no other work of its processor.
    """
    of_turn = TURN_CALLS if threads > 1 else 1
    counted = max(of_turn - 1, 1)
    # The first turn of all is for the caches.
    turns = [[_turn(call, of_turn, clock) for call in calls] for _ in range(1 - -repeats // counted)][1:]
    return [
        statistics.median(seconds for turn in column for seconds in turn[-counted:])
        for column in zip(*turns, strict=True)
    ]


def _turn(call: Call, calls: int, clock: Clock) -> list[float]:
    if calls > 1:
        time.sleep(REST_SECONDS)
    return [_seconds(call, clock) for _ in range(calls)]


def _seconds(call: Call, clock: Clock) -> float:
    start = clock()
    call()
    return clock() - start
