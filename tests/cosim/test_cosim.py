"""Simulator and gates are one machine: every cycle, counter, fault and byte of random programs is equal."""

from collections import Counter

import pytest
from tests.cosim.fuzz import fuzz_config
from tests.cosim.generate import EXPECTED_CAUSES

from tilewright.isa.config import PRESETS, Config
from tilewright.runtime.rtl_toolchain import find_toolchain

PROGRAMS_EACH = 90

MACHINES = {
    "tiny": PRESETS["tiny"],
    "4x8-everything-one": Config(
        rows=4,
        cols=8,
        activation_banks=2,
        activation_vectors=32,
        weight_banks=2,
        weight_vectors=32,
        accumulator_vectors=16,
        parameter_vectors=16,
        bus_bytes=32,
        burst_bytes=64,
        outstanding_reads=1,
        outstanding_writes=1,
        queue_depth=1,
        token_capacity=1,
        requant_interval=4,
        vector_taps=3,
    ),
    "8x8-long-bursts": Config(
        rows=8,
        cols=8,
        activation_banks=4,
        activation_vectors=64,
        weight_vectors=64,
        accumulator_banks=4,
        accumulator_vectors=32,
        parameter_banks=2,
        parameter_vectors=32,
        bus_bytes=16,
        burst_bytes=1024,
        outstanding_reads=3,
        outstanding_writes=2,
        queue_depth=3,
        token_capacity=2,
        requant_interval=2,
        vector_taps=3,
    ),
    "8x16-narrow-bus": Config(
        rows=8,
        cols=16,
        activation_banks=8,
        activation_vectors=64,
        weight_vectors=256,
        accumulator_vectors=64,
        parameter_vectors=64,
    ),
    "16x16-wide-bus": Config(
        rows=16,
        cols=16,
        activation_banks=4,
        activation_vectors=256,
        weight_banks=2,
        weight_vectors=64,
        accumulator_vectors=64,
        parameter_vectors=32,
        bus_bytes=64,
        burst_bytes=256,
        outstanding_reads=4,
        outstanding_writes=8,
        queue_depth=2,
        token_capacity=4,
        vector_taps=3,
    ),
    "4x4-narrow-vectors": Config(
        rows=4,
        cols=4,
        activation_banks=2,
        activation_vectors=256,
        weight_vectors=256,
        accumulator_vectors=64,
        parameter_vectors=64,
        bus_bytes=64,
        burst_bytes=512,
        outstanding_reads=2,
        outstanding_writes=4,
        queue_depth=8,
        requant_interval=2,
    ),
}

needs_verilator = pytest.mark.skipif(find_toolchain() is None, reason="no Verilator: see `tilewright doctor`")


@pytest.fixture(scope="module")
def tally() -> Counter[str]:
    """What the tests of this module ran."""
    return Counter()


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES)
def test_random_programs_run_equally_to_the_cycle(name: str, tally: Counter[str]) -> None:
    fuzz_config(MACHINES[name], seed=len(name), programs=PROGRAMS_EACH, tally=tally)


@needs_verilator
@pytest.mark.slow
def test_the_random_programs_met_every_fault(tally: Counter[str]) -> None:
    assert tally["programs"] >= PROGRAMS_EACH * len(MACHINES)
    missing = [cause.name for cause in EXPECTED_CAUSES if not tally[cause.name]]
    assert not missing
