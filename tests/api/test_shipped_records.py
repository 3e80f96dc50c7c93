"""Records that come along are of machines that there are, and the programs that they name are there."""

import pytest
from bench.packages import networks, sizes_of

import tilewright
from tilewright.api.records import shipped_records
from tilewright.isa.config import PRESETS


def test_every_record_is_of_a_preset():
    digests = {config.digest().hex() for config in PRESETS.values()}
    assert {record.key.machine for record in shipped_records()} <= digests


@pytest.mark.slow
def test_a_network_that_has_a_record_is_compiled_by_it():
    (make,) = (make for name, make in networks(None) if name == "squeezenet")
    network = make()
    fast, plain = (
        tilewright.compile(
            network.model,
            config="reference",
            calibration=network.samples,
            sizes=sizes_of(network),
            accelerator=True,
            ranges="min-max",
            **records,
        )
        for records in ({}, {"records": None})
    )
    cycles = [sum(program.cycles for program in package.time().programs) for package in (fast, plain)]
    assert cycles[0] < 0.999 * cycles[1]
