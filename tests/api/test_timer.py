"""Times of calls: medians, above 0 whatever the clock does, and bounded."""

import time

import pytest

from tilewright.api import timer
from tilewright.api.timer import median_seconds


class Clock:
    """A clock, and a call that moves it by some numbers in turn."""

    def __init__(self, *steps_ns):
        self.now_ns, self.calls, self._steps_ns = 0, 0, steps_ns

    def __call__(self):
        self.now_ns += self._steps_ns[self.calls % len(self._steps_ns)]
        self.calls += 1


@pytest.fixture
def clocked(monkeypatch):
    def run(*steps_ns, limit_seconds=0.01, is_shared=False):
        clock = Clock(*steps_ns)
        for name in ("thread_time_ns", "perf_counter_ns"):
            monkeypatch.setattr(timer.time, name, lambda: clock.now_ns)
        return median_seconds(clock, limit_seconds, is_shared=is_shared), clock

    return run


def test_a_steady_call_has_its_time(clocked):
    seconds, clock = clocked(10**6)
    assert seconds == pytest.approx(1e-3)
    assert clock.calls >= timer.WARM_CALLS + timer.LEAST_SAMPLES


def test_what_disturbs_some_calls_is_left_out(clocked):
    assert clocked(*[10**6] * 4, 10**8)[0] == pytest.approx(1e-3)


def test_short_calls_are_timed_together(clocked):
    seconds, clock = clocked(1000)
    assert seconds == pytest.approx(1e-6)
    assert clock.calls > timer.LEAST_SAMPLES * 90


def test_no_time_is_above_nothing(clocked):
    """Where the clock stands still."""
    assert 0 < clocked(0)[0] < 1e-8


@pytest.mark.parametrize("is_shared", [True, False])
def test_it_ends(is_shared):
    begin = time.perf_counter()
    assert median_seconds(lambda: None, 0.02, is_shared=is_shared) > 0
    assert time.perf_counter() - begin < 5


def test_sleep_is_time_of_several_threads_alone():
    shared, alone = (median_seconds(lambda: time.sleep(2e-3), 0.02, is_shared=each) for each in (True, False))
    assert shared >= 2e-3
    assert alone < 1e-3
