"""`tilewright configs` shows every preset as the contract has it."""

import json
from dataclasses import asdict

from tilewright.cli.main import main
from tilewright.isa.config import PRESETS


def test_the_table_has_one_row_for_each_preset(capsys):
    assert main(["configs"]) == 0
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == list(PRESETS)
    assert [row.split()[1] for row in rows] == [f"{c.rows}×{c.cols}" for c in PRESETS.values()]
    assert header.split()[-1] == "cycle"
    assert set(rule) == {"-", " "}


def test_json_is_one_object_with_every_field(capsys):
    assert main(["configs", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == PRESETS.keys()
    for name, config in PRESETS.items():
        assert printed[name].items() >= asdict(config).items()
        assert printed[name]["peak_macs"] == config.rows * config.cols
        assert bytes.fromhex(printed[name]["digest"]) == config.digest()


def test_the_columns_of_the_memories_are_theirs(capsys):
    assert main(["configs", "--json"]) == 0
    # 4 banks of 256 vectors of 4 int8; 2 banks of 64 vectors of 4 int32.
    sizes = json.loads(capsys.readouterr().out)["tiny"]["memory_bytes"]
    assert sizes == {"activation": 4096, "weight": 1024, "accumulator": 2048, "parameter": 1024}
