from dataclasses import asdict

from tilewright.isa.config import PRESETS
from tilewright.tune import sample
from tilewright.tune.sample import synthesised


def test_a_line_from_before_a_field_has_its_default(monkeypatch):
    """So a field that comes to `Config` leaves the model as it is."""
    line = {name: str(value) for name, value in asdict(PRESETS["reference"]).items()}
    del line["token_capacity"], line["queue_depth"]
    counts = {"logic_lut": "10", "ram_lut": "2", "ff": "3", "dsp": "4", "ramb18": "5", "ramb36": "6"}
    line |= {"family": "xc7", "name": "old", "held_out": "1"} | counts
    monkeypatch.setattr(sample, "_rows", lambda name: iter([line]))
    (machine,) = synthesised.__wrapped__("xc7")
    assert machine.config == PRESETS["reference"]
    assert (machine.lut, machine.held_out, machine.blocks) == (12, True, {"ramb18": 5, "ramb36": 6})


def test_no_machine_is_there_twice():
    for family in sample.FAMILIES:
        configs = [machine.config for machine in synthesised(family)]
        assert len(configs) == len(set(configs))
