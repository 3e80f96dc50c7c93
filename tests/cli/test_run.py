"""`tilewright run` runs programs on devices, writes what is asked for whole or not at all, and explains."""

import json
import subprocess
import sys

import pytest

from tilewright.cli import machine, terminal
from tilewright.cli.main import COMMANDS, main
from tilewright.isa.config import PRESETS
from tilewright.runtime.rtl_toolchain import find_toolchain

TEXT = """\
.config tiny
.region 0 64 "in"
.region 1 64 "out"
load base=0 memory=activation n_x=16 stride_x=4 signal=matrix
load base=0 memory=weight n_x=4 stride_x=4 signal=matrix
matrix n_x=16 stride_x=1 wait=load
store base=1 memory=activation n_x=16 stride_x=4 bytes=4
finish
"""
SOUND = TEXT.replace("wait=load", "wait=load signal=store").replace("bytes=4", "bytes=4 wait=matrix")
# One token a load: the matrix instruction and a nop before it take them.
SOUND = SOUND.replace("matrix n_x", "nop runs_on=matrix wait=load\nmatrix n_x")
IN = bytes(range(64))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a program, its input and nothing else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "program.s").write_text(SOUND)
    (tmp_path / "in.bin").write_bytes(IN)
    return tmp_path


def run(*arguments):
    return main(["run", "program.s", "--memory", "0=in.bin", *arguments])


def files(folder):
    return {path.name for path in folder.iterdir()}


def refusal(capsys):
    """The one line on stderr."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tilewright: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("tilewright: error: ").rstrip()


def test_the_command_is_listed():
    assert "run" in COMMANDS


def test_a_region_is_read_and_written(folder):
    assert run("--dump", "1=out.bin") == 0
    assert (folder / "out.bin").read_bytes() == IN


def test_json_is_one_object_and_nothing_else(capsys):
    assert run("--json") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["device"] == "sim"
    assert report["config"] == "tiny"
    assert (report["samples"], report["instructions"], report["macs"]) == (1, 6, 16 * 16)
    assert report["utilization"] == pytest.approx(16 / report["cycles"])
    assert report["engines"].keys() == {"load", "matrix", "vector", "store"}
    assert all(counts.keys() == {"busy", "waiting", "stalled"} for counts in report["engines"].values())
    assert (report["load_bytes"], report["store_bytes"]) == (64 + 16, 64)
    assert report["seconds"] > 0
    assert report["host"] == {}


def test_the_time_alone_is_that_of_a_run(capsys):
    assert run("--json") == run("--json", "--time-only") == 0
    whole, alone = map(json.loads, capsys.readouterr().out.replace("}\n{", "}\0{").split("\0"))
    assert whole.pop("seconds") != alone.pop("seconds")
    assert whole == alone
    assert run("--time-only", "--dump", "1=out.bin") == 1
    assert "--dump cannot be used: --time-only computes no data" in refusal(capsys)


def test_the_text_has_the_same_numbers(capsys):
    run("--json")
    report = json.loads(capsys.readouterr().out)
    assert run() == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["cycles", str(report["cycles"])] in lines
    assert ["store", *map(str, report["engines"]["store"].values())] in lines


def test_latency_costs_cycles(capsys):
    cycles = []
    for latency in ("1", "200"):
        assert run("--json", "--latency", latency) == 0
        cycles.append(json.loads(capsys.readouterr().out)["cycles"])
    assert cycles[1] > cycles[0] + 2 * 199


def test_the_trace_has_every_instruction_of_an_engine(folder):
    assert run("--trace", "trace.json") == 0
    trace = json.loads((folder / "trace.json").read_text())
    assert [event["name"] for event in trace["traceEvents"] if event["ph"] == "X"] == [
        "load",
        "load",
        "nop",
        "matrix",
        "store",
    ]


def test_an_executable_runs_like_its_text(folder):
    assert main(["asm", "program.s", "-o", "program.twx"]) == 0
    arguments = ["run", "program.twx", "--memory", "0=in.bin", "--dump", "1=out.bin"]
    assert main(arguments) == 0
    assert (folder / "out.bin").read_bytes() == IN


@pytest.mark.slow
def test_the_gates_give_the_same_bytes_and_cycles(folder, capsys):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    reports = []
    for device in ("sim", "rtl"):
        assert run("--json", "--device", device, "--dump", f"1={device}.bin") == 0
        reports.append(json.loads(capsys.readouterr().out))
        assert reports[-1].pop("device") == device
        reports[-1].pop("seconds")
        assert (folder / f"{device}.bin").read_bytes() == IN
    assert reports[0] == reports[1]


def test_gates_without_verilator_say_by_name_how_they_run(monkeypatch, capsys):
    monkeypatch.setattr("tilewright.runtime.rtl_device.find_toolchain", lambda: None)
    device = machine.make_device("rtl", PRESETS["tiny"])
    assert device.name == "rtl-amaranth"
    assert "as device rtl-amaranth" in capsys.readouterr().err


def test_a_text_without_a_machine_runs_on_the_reference(folder, capsys):
    (folder / "program.s").write_text("finish\n")
    assert main(["run", "program.s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == machine.DEFAULT_CONFIG


def test_a_machine_of_the_users_own_has_the_name_of_its_file(folder, capsys):
    (folder / "mine.toml").write_text(
        PRESETS["tiny"].to_toml().replace("token_capacity = 15", "token_capacity = 3")
    )
    (folder / "program.s").write_text("finish\n")
    assert main(["run", "program.s", "--config", "mine.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["config"] == "mine.toml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["program.s"], "region 0 (in) is read: give its bytes with --memory 0=FILE"),
        (["program.s", "--memory", "0=missing.bin"], "missing.bin: No such file or directory"),
        (["program.s", "--memory", "0=short.bin"], "region 0 (in) must have 64 bytes, not 3"),
        (["program.s", "--memory", "8=in.bin"], "--memory 8=in.bin: N must be from 0 to 7"),
        (["program.s", "--memory", "0=in.bin", "--memory", "0=in.bin"], "base register 0 has in.bin already"),
        (
            ["program.s", "--memory", "0=in.bin", "--dump", "3=out"],
            "--dump 3=out: base register 3 has no region",
        ),
        (["program.s", "--memory", "0=in.bin", "--latency", "0"], "latency must be an integer from 1"),
        (["program.s", "--memory", "0=in.bin", "--config", "reference"], "is made for another machine"),
        (
            ["program.s", "--memory", "0=in.bin", "--dump", "1=a", "--trace", "a"],
            "a: must be named for one output",
        ),
        (["program.s", "--memory", "0=in.bin", "--dump", "1=no/out"], "no/out: No such file or directory"),
        (["program.s", "--memory", "0=in.bin", "--trace", "."], ".: Is a directory"),
        (["missing.s"], "missing.s: No such file or directory"),
        (["model.onnx"], "model.onnx: No such file or directory"),
        (
            ["program.s", "--input", "in.bin", "--report", "a"],
            "program.s: --input and --report cannot be used: it is a program, not a model",
        ),
        (["program.s", "--device", "cpu"], "program.s: --device must be sim or rtl for a program, not cpu"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_leaves_no_file(folder, capsys, arguments, message):
    (folder / "short.bin").write_bytes(b"abc")
    before = files(folder)
    assert main(["run", *arguments]) == 1
    assert message in refusal(capsys)
    assert files(folder) == before


def test_one_output_that_cannot_be_written_leaves_the_others_unwritten(folder, capsys):
    (folder / "out.bin").write_bytes(b"old")
    assert run("--dump", "1=out.bin", "--trace", "no/trace.json") == 1
    assert "no/trace.json" in refusal(capsys)
    assert (folder / "out.bin").read_bytes() == b"old"


def test_an_unsound_program_is_refused_with_its_lines(folder, capsys):
    (folder / "program.s").write_text(TEXT)
    assert run() == 1
    assert all(
        line.startswith(("tilewright: error: program.s:", "program.s:"))
        for line in capsys.readouterr().err.splitlines()
    )


def test_a_fault_names_line_cause_and_cycle(folder, capsys, monkeypatch):
    monkeypatch.setattr("tilewright.runtime.loader.require_sound", lambda executable, image: None)
    (folder / "program.s").write_text(SOUND.replace("bytes=4 wait", "bytes=5 wait"))
    assert run("--dump", "1=out.bin") == 1
    assert "program.s:8: fault ILLEGAL found by fetch in cycle" in refusal(capsys)
    assert not (folder / "out.bin").exists()


@pytest.mark.parametrize("option", ["0", "x=in.bin", "0=", "-1=in.bin"])
def test_a_region_without_its_form_is_wrong_usage(option, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["run", "program.s", f"--memory={option}"])
    assert leaving.value.code == 2
    assert "must be N=FILE" in capsys.readouterr().err


def test_progress_goes_to_terminals_only(monkeypatch, capsys):
    assert terminal.cycle_progress() is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    terminal.cycle_progress()(1_234_567)
    assert "1,234,567 cycles" in capsys.readouterr().err


def test_the_parser_loads_nothing_heavy():
    script = (
        "import sys; from tilewright.cli.main import build_parser; build_parser(['run', 'verilog']);"
        "print(sorted({'numpy', 'numba', 'amaranth'} & sys.modules.keys()))"
    )
    finished = subprocess.run((sys.executable, "-c", script), check=True, capture_output=True, text=True)
    assert finished.stdout == "[]\n"
