"""`tilewright run --ablate` and `--timeline` say where the time goes, of programs and of models."""

import json

import numpy as np
import pytest

import network
from tilewright.cli.main import main
from tilewright.cli.run_ablation import NOTE
from tilewright.runtime.ablation import UNITS
from tilewright.runtime.rtl_toolchain import find_toolchain

PROGRAM = """\
.config tiny
.region 0 64 "in"
.region 1 64 "between"
load base=0 memory=activation n_x=16 stride_x=4 signal=store
store base=1 memory=activation n_x=16 stride_x=4 bytes=4 wait=load signal=load
load base=1 memory=activation address=16 n_x=16 stride_x=4 wait=store
finish
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a program, a model and their inputs; a terminal of known width."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "72")
    (tmp_path / "program.s").write_text(PROGRAM)
    (tmp_path / "in.bin").write_bytes(bytes(64))
    network.make_runnable().save("model.twx")
    return tmp_path


def program(*arguments):
    return main(["run", "program.s", "--memory", "0=in.bin", *arguments])


def model(*arguments):
    return main(["run", "model.twx", *arguments])


BOTH = pytest.mark.parametrize("run", [program, model])


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def found(capsys):
    return capsys.readouterr().out.splitlines()


@BOTH
def test_each_unit_is_a_line(run, capsys):
    assert run("--ablate", "each") == 0
    lines = found(capsys)
    assert lines[0].split() == ["run", "cycles", "share"]
    assert [line.rsplit(None, 2)[0] for line in lines[2:6]] == [
        "full",
        "without dma",
        "without matrix",
        "without vector",
    ]
    assert lines[2].split()[2] == "100.0%"
    assert lines[-1] == NOTE


@BOTH
def test_json_has_the_same_cycles(run, capsys):
    assert run("--json") == 0
    cycles = json.loads(capsys.readouterr().out)["cycles"]
    assert run("--ablate", "each", "--ablate", "store", "--ablate", "dma", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["device"], report["config"], report["cycles"]) == ("sim", "tiny", cycles)
    assert list(report["without"]) == ["dma", "matrix", "vector", "store"]
    assert report["without"]["dma"] < report["without"]["store"] < cycles
    assert report["note"] == NOTE


def test_a_unit_that_does_nothing_saves_nothing(capsys):
    assert program("--ablate", "matrix") == 0
    rows = [line.split() for line in found(capsys)[2:4]]
    assert rows[0][-2:] == rows[1][-2:]


@pytest.mark.slow
@BOTH
def test_the_gates_take_the_same_time(run, capsys):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    tables = []
    for device in ("sim", "rtl"):
        assert run("--ablate", "each", "--ablate", "load", "--device", device) == 0
        tables.append(found(capsys))
    assert tables[0] == tables[1]


@BOTH
def test_the_timeline_is_as_wide_as_the_terminal(run, capsys):
    assert run() == 0
    before = found(capsys)
    assert run("--timeline") == 0
    lines = found(capsys)
    drawn = lines[len(before) + 1 :]
    assert [line.split()[0] for line in drawn if line.endswith("%")] == ["load", "matrix", "vector", "store"]
    assert 60 < max(map(len, drawn)) <= 72


def test_a_model_shows_where_its_layers_begin(capsys):
    assert model("--timeline") == 0
    lines = found(capsys)
    (head,) = (number for number, line in enumerate(lines) if "a column" in line)
    assert lines[head + 3].split() == ["begin", "a", "b"]
    assert [part.partition(" (")[0] for part in lines[-1].split(", ")] == ["a=expand", "b=reduce"]


def test_every_run_has_its_timeline(capsys):
    assert program("--ablate", "load", "--timeline", "--window", "30:60") == 0
    lines = found(capsys)
    assert [line for line in lines if line.endswith(":")] == ["full:", "without load:"]
    heads = [line.split() for line in lines if "a column" in line]
    assert heads == [["cycles", "30", "to", "59,", "1", "a", "column"]] * 2


def test_a_terminal_without_blocks_gets_letters(monkeypatch, capsys):
    monkeypatch.setattr("tilewright.cli.run_timeline._can_print", lambda text: False)
    assert program("--timeline") == 0
    assert "# busy all the time" in capsys.readouterr().out


def test_a_narrow_terminal_gets_the_least_width(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "20")
    assert program("--timeline") == 0
    assert max(map(len, found(capsys)[-9:])) <= 60


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        (
            program,
            ["--ablate", "mat"],
            "--ablate must be one of dma, matrix, vector, load, store, each, not 'mat'",
        ),
        (
            program,
            ["--ablate", "dma", "--dump", "1=out"],
            "program.s: --dump cannot be used: a run without a unit",
        ),
        (
            model,
            ["--ablate", "dma", "--report", "a", "--trace", "b"],
            "model.twx: --report and --trace cannot be",
        ),
        (
            model,
            ["--ablate", "dma", "--device", "cpu"],
            "model.twx: --ablate cannot be used: the CPU has no units",
        ),
        (
            model,
            ["--timeline", "--device", "cpu"],
            "model.twx: --timeline cannot be used: the CPU has no cycles",
        ),
        (model, ["--timeline", "--json"], "model.twx: --timeline cannot be used: --json prints one object"),
        (program, ["--window", "1:5"], "program.s: --window cannot be used: give --timeline with it"),
        (program, ["--timeline", "--window", "5:5"], "cycles of a timeline must be FIRST:END"),
        (
            model,
            ["--ablate", "dma", "--memory", "0=in.bin"],
            "model.twx: --memory cannot be used: it is a model",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(run, arguments, message, capsys, folder):
    before = {path.name for path in folder.iterdir()}
    assert run(*arguments) == 1
    assert message in refusal(capsys)
    assert {path.name for path in folder.iterdir()} == before


@pytest.mark.parametrize("window", ["5", "a:b", "-1:4", "4:"])
def test_a_window_without_its_form_is_wrong_usage(window, capsys):
    with pytest.raises(SystemExit) as leaving:
        program("--timeline", f"--window={window}")
    assert leaving.value.code == 2
    assert "must be FIRST:END" in capsys.readouterr().err


def test_units_are_told_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    text = capsys.readouterr().out
    assert all(unit in text for unit in UNITS)


def test_a_network_is_compiled_for_it(capsys):
    """A model runs as compiled; inputs change nothing."""
    np.savez("x.npz", x=np.ones((3, 5, 2, 3), np.float32))
    tables = []
    for arguments in ([], ["--input", "x.npz"]):
        assert model("--ablate", "vector", *arguments) == 0
        tables.append(found(capsys))
    assert tables[0] == tables[1]


def test_the_option_has_its_old_name_as_well():
    assert program("--null", "matrix") == 0
