"""The emitted Verilog, run by other simulators than ours, against models of AXI that are not ours.

What is run is in `run_programs` and `run_control`; here it is built and started.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import pytest
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import VerilatorControlFile, get_runner

from tilewright.hw.verilog import TOP_NAME, emit
from tilewright.isa.config import PRESETS, Config
from tilewright.runtime.build_cache import built, digest
from tilewright.runtime.rtl_toolchain import find_toolchain

# Memories so small that a program fills them in a few hundred cycles.
_TINY = replace(
    PRESETS["tiny"],
    activation_vectors=16,
    weight_vectors=32,
    accumulator_vectors=16,
    parameter_vectors=16,
)
MACHINES: Mapping[str, Config] = {
    "tiny": _TINY,
    # Vectors of int8 are narrower than the bus: narrow bursts.
    "narrow": replace(_TINY, cols=8, bus_bytes=32, burst_bytes=256),
    # Two slices a vector, and many beats.
    "sliced": replace(_TINY, rows=8, cols=16, bus_bytes=8, burst_bytes=512, requant_interval=2),
}
_TIMESCALE = ("1ns", "1ps")
_VERILATOR_OPTIONS = (
    # The pins alone, as the control file says: all of the machine in sight would take minutes to compile.
    "--no-public-flat-rw",
    "--no-timing",
    "--no-assert",
    "--output-split",
    "20000",
    # The text is generated: what it says twice or leaves unused is no one's to clean up.
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
)
_PINS = "".join(
    f'public_flat_rw -module "{TOP_NAME}" -var "{pins}"\n'
    for pins in ("clk", "rst", "s_axi_*", "m_axi_*", "interrupt")
)
# A machine that is compiled soon; and Verilator's makefile fails on precompiled headers of large machines.
_MAKE_FLAGS = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O0 OPT_SLOW=-O0"


@dataclass(frozen=True)
class Simulator:
    """A simulator that cocotb runs.

    Members:
        name: cocotb's.
        seeds: random programs that it has time for.
    """

    name: str
    seeds: int

    def prepare(self, patch: pytest.MonkeyPatch) -> str:
        """What it is, in the environment that it needs; skips the test where it is missing."""
        if self.name == "icarus":
            if shutil.which("iverilog") is None:
                pytest.skip("needs Icarus Verilog: sudo apt-get install iverilog")
            return "icarus"
        toolchain = find_toolchain()
        lacking = [name for name in ("make", "perl") if shutil.which(name) is None]
        if toolchain is None or lacking:
            pytest.skip("needs Verilator 5.036 or newer, a C++ compiler, make and perl: tilewright doctor")
        patch.setenv("VERILATOR_ROOT", str(toolchain.root))
        patch.setenv("PATH", os.pathsep.join((str(toolchain.verilator.parent), os.environ["PATH"])))
        patch.setenv("MAKEFLAGS", _MAKE_FLAGS)
        return toolchain.version

    def build(self, text: str, version: str) -> Path:
        """The folder with the compiled machine."""
        if self.name == "icarus":
            sources, options = {"top.v": text}, ()
        else:
            sources, options = {"top.vlt": f"`verilator_config\n{_PINS}", "top.v": text}, _VERILATOR_OPTIONS
        # The compiled machine loads cocotb's libraries from where they are now.
        cocotb = (metadata.version("cocotb"), str(metadata.distribution("cocotb").locate_file("cocotb")))
        parts = (self.name, version, *cocotb, *sources.values(), *options, _MAKE_FLAGS)
        return built(f"cocotb-{digest(*parts)}", lambda folder: self._compile(folder, sources, options))

    def _compile(self, folder: Path, sources: dict[str, str], options: Sequence[str]) -> None:
        for name, text in sources.items():
            (folder / name).write_text(text)
        files = [
            VerilatorControlFile(folder / name) if name.endswith(".vlt") else folder / name
            for name in sources
        ]
        get_runner(self.name).build(
            sources=files,
            hdl_toplevel=TOP_NAME,
            build_dir=folder,
            build_args=options,
            timescale=_TIMESCALE,
            log_file=folder / "build.log",
        )

    def run(self, tests: str, build: Path, folder: Path, **environment: str) -> None:
        """Run the cocotb tests whose names match `tests`; fails if one of them does."""
        results = get_runner(self.name).test(
            test_module=("tests.cocotb.run_programs", "tests.cocotb.run_control"),
            test_filter=tests,
            hdl_toplevel=TOP_NAME,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            test_dir=folder,
            timescale=_TIMESCALE,
            extra_env=environment,
        )
        assert get_results(results)[0] > 0, "no test was run"


ICARUS, VERILATOR = Simulator("icarus", seeds=1), Simulator("verilator", seeds=4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("simulator", "machine", "tests"),
    [
        pytest.param(ICARUS, "tiny", ".", id="icarus-tiny"),
        # A few hundred cycles a second: one of each.
        pytest.param(ICARUS, "sliced", "random_programs.*shuffling|product.*in_order", id="icarus-sliced"),
        pytest.param(VERILATOR, "narrow", ".", id="verilator-narrow"),
    ],
)
def test_verilog_is_right_on_foreign_buses_of_any_rhythm(
    simulator: Simulator, machine: str, tests: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = simulator.prepare(monkeypatch)
    build = simulator.build(emit(MACHINES[machine]), version)
    config = tmp_path / "config.toml"
    config.write_text(MACHINES[machine].to_toml())
    seeds = str(simulator.seeds)
    simulator.run(tests, build, tmp_path, TILEWRIGHT_CONFIG=str(config), TILEWRIGHT_SEEDS=seeds)
