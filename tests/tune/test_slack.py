"""Slack is taken step by step: what saves most first, never slower, the same from what is known."""

from dataclasses import replace

from tilewright.isa.config import PRESETS
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.evaluated import Costs, Evaluated
from tilewright.tune.hardware_space import HardwareSpace
from tilewright.tune.slack import Slack

BASE = PRESETS["reference"]
BOARD = Board(family="xc7", lut=50_000, ff=100_000, dsp=300, bram=150, bus_bytes=(8, 16), source="made up")
SPACE = HardwareSpace.around(BASE)
LEAST = {"activation_vectors": 512, "weight_vectors": 1024, "accumulator_vectors": 256, "queue_depth": 4}
"""Below these a network is slower."""


class Form:
    """Tables for queues, block RAMs for bytes."""

    def area(self, config):
        lut = 10_000 + 100 * config.queue_depth
        return Area(lut=lut, ff=lut, dsp=config.rows * config.cols, bram=config.chip_bytes / 4096)


SLACK = Slack(space=SPACE, area=Form(), board=BOARD)


def evaluated(config):
    """One network does not mind, the other does."""
    needs = any(getattr(config, name) < least for name, least in LEAST.items())
    few_products = (BASE.rows * BASE.cols) // (config.rows * config.cols)
    cycles = {"one": 1000, "other": 1100 if needs else 1000 * few_products}
    return Evaluated(
        config=config,
        area=Form().area(config),
        costs=Costs(cycles=cycles, moved_bytes=dict.fromkeys(cycles, 1)),
    )


def walk(root, known):
    """All machines that are looked at."""
    found = []
    while (config := SLACK.next(root, known)) is not None:
        assert config not in known
        known[config] = evaluated(config)
        found.append(known[config])
    return found


def test_the_walk_ends_where_each_size_that_saves_anything_is_needed():
    root = evaluated(BASE)
    seen = walk(root, {BASE: root})
    fast = [each for each in seen if each.is_as_fast_as(root)]
    assert {name: getattr(fast[-1].config, name) for name in LEAST} == LEAST
    assert fast[-1].config.parameter_vectors == SPACE.choices["parameter_vectors"][0]
    assert fast[-1].config.peak_macs == BASE.peak_macs
    assert fast[-1].config.chip_bytes == min(each.config.chip_bytes for each in fast)


def test_a_walk_may_begin_at_a_faster_machine_and_keep_what_makes_it_so():
    windowed = replace(BASE, vector_taps=3)
    known = {config: evaluated(config) for config in (BASE, windowed)}
    root = known[BASE]
    while (config := SLACK.next(root, known, start=windowed, kept=("vector_taps",))) is not None:
        known[config] = evaluated(config)
    walked = [config for config in known if config not in (BASE, windowed)]
    assert {config.vector_taps for config in walked} == {3}
    fast = [config for config in walked if known[config].is_as_fast_as(root)]
    assert {name: getattr(fast[-1], name) for name in LEAST} == LEAST


def test_what_saves_most_is_first():
    root = evaluated(BASE)
    first = SLACK.next(root, {BASE: root})
    bytes_of = {
        name: replace(BASE, **{name: getattr(BASE, name) // 2}).chip_bytes
        for name in ("activation_vectors", "weight_vectors", "accumulator_vectors", "parameter_vectors")
    }
    assert first.chip_bytes == min(bytes_of.values())


def test_a_size_that_made_a_network_slower_is_not_made_smaller_again():
    root = evaluated(BASE)
    at, spent = BASE, set()
    for each in walk(root, {BASE: root}):
        (name,) = (name for name in SPACE.names if getattr(each.config, name) != getattr(at, name))
        assert name not in spent
        if each.is_as_fast_as(root):
            at = each.config
        else:
            spent.add(name)
    assert set(LEAST) <= spent


def test_a_walk_goes_on_from_what_is_known():
    root = evaluated(BASE)
    whole = walk(root, {BASE: root})
    known = {each.config: each for each in (root, *whole[:5])}
    assert walk(root, known) == whole[5:]


def test_a_machine_that_does_not_run_the_networks_has_no_walk_far():
    root = Evaluated(config=BASE, area=Form().area(BASE), costs=None, refusal="a bank is too small")
    for config in (each.config for each in walk(root, {BASE: root})):
        smaller = [name for name in SPACE.names if getattr(config, name) < getattr(BASE, name)]
        assert len(smaller) == 1
