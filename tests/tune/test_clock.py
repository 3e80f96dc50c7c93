import dataclasses

import pytest

from tilewright.isa.config import PRESETS
from tilewright.tune import clock
from tilewright.tune.clock import FEWEST, ClockModel, report
from tilewright.tune.sample import Routed, routed


def routed_with(monkeypatch, periods):
    """As if datapaths of 4, 8, 16 … columns had been routed with these periods in ns."""
    tiny = PRESETS["tiny"]
    machines = tuple(
        Routed(name="x", config=dataclasses.replace(tiny, cols=4 << place), part="datapath", mhz=1e3 / period)
        for place, period in enumerate(periods)
    )
    monkeypatch.setattr(clock, "routed", lambda: machines)
    return ClockModel.fit()


def test_the_period_grows_with_the_doublings_of_lanes(monkeypatch):
    model = routed_with(monkeypatch, [12.0, 14.0, 16.0, 18.0])
    assert model.mhz(dataclasses.replace(PRESETS["tiny"], cols=64)) == pytest.approx(1e3 / 20)
    assert model.leave_one_out.worst < 1e-6


def test_few_machines_give_one_clock_and_the_model_says_so(monkeypatch):
    model = routed_with(monkeypatch, [12.0] * (FEWEST - 1))
    assert model.mhz(PRESETS["large-128"]) == pytest.approx(1e3 / 12)
    assert f"fewer than {FEWEST}" in str(model)


def test_the_error_is_that_of_the_clock(monkeypatch):
    model = routed_with(monkeypatch, [10.0, 10.0, 20.0])
    # The two fast ones say 100 MHz of the slow one, which has 50; one of each say 12 ns of a fast one.
    assert model.leave_one_out.worst == pytest.approx(1.0)
    assert model.leave_one_out.mean == pytest.approx((1 + 2 * (1 - 10 / 12)) / 3)


def test_the_shipped_clocks_are_near():
    assert ClockModel.fitted().leave_one_out.count in (0, len(routed()))
    assert not ClockModel.fitted().leave_one_out.mean > 0.25
    assert ClockModel.fitted().mhz(PRESETS["ecp5-85f"]) == pytest.approx(60, rel=0.15)


def test_the_report_has_every_routed_machine():
    lines = list(report())
    for machine in routed():
        assert any(line.startswith(machine.name) for line in lines)
    assert "leave-one-out error" in lines[-1]
