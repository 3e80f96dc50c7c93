"""Searches for machines look at what fits, once each, the same for a seed, and go on from a journal."""

import sys
from dataclasses import fields, replace
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.isa.config import FIELD_RANGES, PRESETS, Config
from tilewright.isa.error import TilewrightError
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.error import TuneError
from tilewright.tune.evaluated import Costs
from tilewright.tune.front import hypervolumes, values_of
from tilewright.tune.hardware import SAMPLERS, HardwareStudy
from tilewright.tune.hardware_space import HardwareSpace, shares_of

BASE = PRESETS["reference"]
BOARD = Board(family="xc7", lut=50_000, ff=100_000, dsp=300, bram=150, bus_bytes=(8, 16), source="made up")
SPACE = HardwareSpace.around(BASE, fixed=("token_capacity",), allowed={"bus_bytes": BOARD.bus_bytes})


class Form:
    """Area in closed form."""

    def area(self, config):
        lut = 7_500 + 1_240 * config.cols + 8 * config.port_count
        dsp = config.rows * config.cols + config.cols // config.requant_interval
        return Area(lut=lut, ff=lut, dsp=dsp, bram=config.chip_bytes / 4096)


def costs(config):
    """More products and wide buses make it fast, small memories hardly slower."""
    cycles = 4e8 / (config.rows * config.cols) + 2e6 / config.bus_bytes + 1e8 / config.activation_vectors
    return Costs(cycles={"net": int(cycles)}, moved_bytes={"net": 1000})


class Counted:
    """An objective that notes what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, config):
        self.asked.append(config)
        return costs(config)


def study(objective=costs, **options):
    return HardwareStudy(SPACE, objective, Form(), BOARD, **options)


def test_the_space_has_every_field_that_is_not_fixed():
    names = {field.name for field in fields(Config)}
    assert set(HardwareSpace.around(BASE).choices) == names
    assert set(SPACE.choices) == names - {"token_capacity"}


def test_choices_are_what_the_field_may_be_and_the_base_s_own():
    for name, values in HardwareSpace.around(BASE).choices.items():
        known = FIELD_RANGES[name]
        assert list(values) == sorted(set(values))
        assert known.low <= values[0]
        assert values[-1] <= known.high
        assert getattr(BASE, name) in values


@given(st.integers(0, 2**32 - 1))
def test_places_and_machines_are_inverse(seed):
    config = SPACE.draw(np.random.default_rng(seed))
    assert SPACE.config(SPACE.places(config)) == config


def test_what_is_not_in_the_space_is_refused():
    with pytest.raises(TuneError, match="rows must be one of"):
        SPACE.places(replace(BASE, rows=128, cols=128))
    with pytest.raises(TuneError, match="not speed"):
        HardwareSpace.around(BASE, fixed=("speed",))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_machine_is_looked_at_once_and_fits(sampler):
    objective = Counted()
    found = list(study(objective, sampler=sampler).run(25))
    assert [each.config for each in found] == objective.asked
    assert len(set(objective.asked)) == 25
    assert objective.asked[0] == BASE
    assert all(max(shares_of(each.area, BOARD).values()) <= 1 for each in found)
    assert all(each.config.bus_bytes in BOARD.bus_bytes for each in found)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_small_space_is_looked_at_without_repeats(sampler):
    names = {field.name for field in fields(Config)} - {"queue_depth", "requant_interval"}
    small = HardwareSpace.around(BASE, fixed=names)
    assert small.count == 18
    search = HardwareStudy(small, costs, Form(), BOARD, sampler=sampler)
    found = [each.config for each in search.run(14)]
    assert len(found) == len(set(found)) == 14


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_seed_decides_all(sampler):
    one, same, other = (
        [each.config for each in study(sampler=sampler, seed=seed).run(20)] for seed in (3, 3, 4)
    )
    assert one == same
    assert one != other


def test_what_a_network_refuses_is_kept_with_its_reason_and_the_search_goes_on():
    def objective(config):
        if config.activation_vectors < 512:
            raise TilewrightError("a bank is too small\nthe rest is for nobody")
        return costs(config)

    found = list(study(objective).run(20))
    refused = [each for each in found if each.costs is None]
    assert refused
    assert {each.refusal for each in refused} == {"a bank is too small"}
    assert all(each.config.activation_vectors < 512 for each in refused)


def test_a_journal_is_gone_on_with_and_nothing_is_asked_again(tmp_path):
    journal = tmp_path / "journal.jsonl"
    first = Counted()
    before = list(study(first, journal=journal).run(10))
    again = Counted()
    resumed = study(again, journal=journal)
    assert resumed.evaluated == tuple(before)
    assert list(resumed.run(10)) == []
    after = list(resumed.run(13))
    assert len(after) == len(again.asked) == 3
    assert not set(again.asked) & set(first.asked)


def test_a_journal_of_another_search_is_refused(tmp_path):
    journal = tmp_path / "journal.jsonl"
    list(study(journal=journal).run(2))
    other = HardwareSpace.around(BASE, fixed=("rows",))
    with pytest.raises(TuneError, match="name another"):
        HardwareStudy(other, costs, Form(), BOARD, journal=journal)


def test_a_base_that_does_not_fit_is_refused():
    with pytest.raises(TuneError, match="dsp 272 of 10"):
        HardwareStudy(SPACE, costs, Form(), replace(BOARD, dsp=10))


def test_an_unknown_sampler_is_refused():
    with pytest.raises(TuneError, match="sampler must be one of"):
        study(sampler="luck")


def test_without_optuna_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TuneError, match=r"pip install 'tilewright\[tune\]'"):
        study()


def test_proposals_beat_random_ones():
    def volume(sampler, seed):
        found = list(study(sampler=sampler, seed=seed).run(80))
        return hypervolumes(values_of(found, BOARD, found[0].costs.latency))[-1]

    ours, random = (np.median([volume(sampler, seed) for seed in range(3)]) for sampler in ("tpe", "random"))
    assert ours > random


def test_slack_of_the_first_and_of_the_fastest_machine_is_taken():
    found = list(study().run(80))
    fastest = min(found, key=lambda each: each.costs.latency)
    for root, share in ((found[0], 0.5), (fastest, 0.9)):
        lean = min((each for each in found if each.is_as_fast_as(root)), key=lambda each: each.area.bram)
        assert lean.area.bram <= share * root.area.bram


def test_what_a_window_gains_is_taken_out_of_the_memory():
    """With it the networks are a third faster, if their memory is that of the base."""

    def windowed(config):
        without = costs(config)
        cycles = {
            name: count * (3 if config.vector_taps > 1 else 4) // 4 for name, count in without.cycles.items()
        }
        return Costs(cycles=cycles, moved_bytes=without.moved_bytes)

    found = list(study(windowed).run(60))
    assert found[1].config == replace(BASE, vector_taps=3)
    equal = [each.config for each in found if each.is_as_fast_as(found[0])]
    lean = [min((c for c in equal if c.vector_taps == taps), key=lambda c: c.chip_bytes) for taps in (1, 3)]
    assert lean[1].chip_bytes < 0.75 * lean[0].chip_bytes
    fixed = HardwareSpace.around(BASE, fixed=("vector_taps",))
    assert fixed.windowed() is None
    assert HardwareSpace.around(replace(BASE, vector_taps=3)).windowed() is None


def test_importance_finds_what_decides():
    search = study()
    list(search.run(200))
    shares = search.importance()
    assert max(shares["lut"], key=shares["lut"].get) == "cols"
    assert sum(shares["latency"].values()) == pytest.approx(1)
    assert study().importance() == {}


def test_the_latency_is_the_geometric_mean():
    both = Costs(cycles={"a": 100, "b": 10_000}, moved_bytes={"a": 1, "b": 1})
    assert log2(both.latency) == pytest.approx(log2(1000))


def test_a_window_and_other_arrays_of_as_much_memory_come_first():
    arrays = SPACE.arrays()
    assert replace(BASE, rows=8, cols=32).peak_macs in {each.peak_macs for each in arrays}
    assert BASE not in arrays
    assert {each.chip_bytes for each in arrays} == {BASE.chip_bytes}
    assert all(2 * each.peak_macs >= BASE.peak_macs for each in arrays)
    first = [each.config for each in study().run(8)][1:]
    fitting = [each for each in arrays if not list(BOARD.lacks(each, Form().area(each)))]
    begins_with = [replace(BASE, vector_taps=3), *fitting]
    assert first[: len(begins_with)] == begins_with[:7]
