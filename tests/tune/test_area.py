import dataclasses

import pytest

from tilewright.isa.config import PRESETS
from tilewright.tune.area import AreaModel, Form, block_rams, multipliers, report
from tilewright.tune.error import TuneError
from tilewright.tune.sample import FAMILIES, synthesised

MACHINES = [machine for family in FAMILIES for machine in synthesised(family)]


def name(machine):
    return f"{machine.family}-{machine.name}"


@pytest.mark.parametrize("machine", MACHINES, ids=name)
def test_multipliers_and_block_rams_are_exact(machine):
    assert multipliers(machine.config) == machine.dsp
    found = {kind: count for kind, count in machine.blocks.items() if count}
    assert block_rams(machine.config, machine.family) == found


def test_enough_machines_are_synthesised_and_held_out():
    assert len(synthesised("xc7")) >= 14
    assert sum(machine.held_out for machine in synthesised("xc7")) >= 6


@pytest.mark.parametrize("family", FAMILIES)
def test_machines_that_no_fit_has_seen_are_within_ten_per_cent(family):
    model = AreaModel.fitted(family)
    assert model.lut.held_out.mean <= 0.10
    assert model.lut.leave_one_out.mean <= 0.10
    assert model.ff.held_out.mean <= 0.10


@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_machines_change_no_weight(family, monkeypatch):
    before = Form.fitted(family, "lut")
    others = tuple(
        dataclasses.replace(machine, lut=10 * machine.lut) if machine.held_out else machine
        for machine in synthesised(family)
    )
    monkeypatch.setattr("tilewright.tune.area.synthesised", lambda family: others)
    after = Form.fitted(family, "lut")
    assert (after.regression, after.leave_one_out) == (before.regression, before.leave_one_out)
    assert after.held_out.mean > 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_many_machines_at_once_are_each_alone(family):
    model = AreaModel.fitted(family)
    configs = [PRESETS["tiny"], PRESETS["reference"], PRESETS["large-128"]]
    assert model.areas(configs) == [model.area(config) for config in configs]
    assert model.areas([]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_more_of_a_machine_is_never_less_area(family):
    model = AreaModel.fitted(family)
    small = PRESETS["tiny"]
    for change in ({"cols": 8}, {"bus_bytes": 16}, {"activation_vectors": 4096}, {"accumulator_banks": 4}):
        large = dataclasses.replace(small, **change)
        less, more = model.area(small), model.area(large)
        assert less.lut <= more.lut or "activation_vectors" in change
        assert (less.dsp, less.bram) <= (more.dsp, more.bram)


def test_an_unknown_family_is_refused_with_the_known_ones():
    with pytest.raises(TuneError, match="xc7, ecp5, not 'virtex'"):
        AreaModel.fitted("virtex")


def test_the_report_has_every_machine_and_both_errors():
    lines = list(report())
    for machine in MACHINES:
        assert any(line.startswith(machine.name) for line in lines)
    assert sum("leave-one-out error" in line and "held out" in line for line in lines) == 2 * len(FAMILIES)
