"""`python -m tilewright.fpga.synthesise`: what the whole machine takes of an FPGA, a line each."""

import argparse
import json
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from amaranth.back import rtlil

from tilewright.fpga.flow import SYNTHESISER, find_tools, run_tool, synthesis_script, tool_version
from tilewright.fpga.row import append_row
from tilewright.hw.top import Machine
from tilewright.isa.config import Config, load_config
from tilewright.isa.error import TilewrightError

TOP_NAME = "machine"
_XC7_SCRIPT = f"""
read_rtlil design.il
setparam -set COLLISION_X_MASK 1'1 t:$memrd_v2 r:CLK_ENABLE=1 %i
synth_xilinx -family xc7 -top {TOP_NAME} -flatten -noiopad -noclkbuf
"""
"""The default steps for the 7 series, without pads; the second line as in the flow of the ECP5."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """What synthesis took, in the units that a designer counts.

    Members:
        logic_lut: look-up tables that compute; on the ECP5 carries too, on the 7 series inverters that no
            table absorbed.
        ram_lut: look-up tables that are memories or shift registers.
        ff: registers in the fabric.
        dsp: multipliers: DSP48E1 or MULT18X18D.
        ramb18, ramb36, dp16kd: block RAMs by kind.
    """

    logic_lut: int
    ram_lut: int
    ff: int
    dsp: int
    ramb18: int = 0
    ramb36: int = 0
    dp16kd: int = 0


@dataclass(frozen=True, kw_only=True)
class Family:
    """How a family of FPGAs is synthesised for, and how its cells count.

    Members:
        script: the commands of yosys from `design.il` on.
        weights: for each field of `Cells`, how often a cell of a type counts in it.
    """

    script: str
    weights: Mapping[str, Mapping[str, int]]

    def cells(self, counts: Mapping[str, int]) -> Cells:
        """The sum of cells by type, as yosys counts them."""
        sums = {
            field: sum(weight * counts.get(kind, 0) for kind, weight in kinds.items())
            for field, kinds in self.weights.items()
        }
        return Cells(**sums)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "xc7": Family(
            script=_XC7_SCRIPT,
            weights={
                "logic_lut": {"INV": 1} | {f"LUT{inputs}": 1 for inputs in range(1, 7)},
                # What each takes of a slice: UG474, tables 2-3 and following.
                "ram_lut": {
                    **{"RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4},
                    **{"SRL16E": 1, "SRLC32E": 1},
                },
                "ff": {f"FD{kind}E": 1 for kind in "CPRS"},
                "dsp": {"DSP48E1": 1},
                "ramb18": {"RAMB18E1": 1},
                "ramb36": {"RAMB36E1": 1},
            },
        ),
        "ecp5": Family(
            script=synthesis_script(TOP_NAME),
            weights={
                "logic_lut": {"LUT4": 1, "CCU2C": 2},
                # A RAM of 16 words of 4 bits is 4 tables; the 2 beside them lend it their write port.
                "ram_lut": {"TRELLIS_DPR16X4": 6},
                "ff": {"TRELLIS_FF": 1},
                "dsp": {"MULT18X18D": 1},
                "dp16kd": {"DP16KD": 1, "PDPW16KD": 1},
            },
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """One run.

    Members:
        family: a key of FAMILIES.
        name: the configuration, as it was asked for.
        config: its sizes.
        tool: who synthesised: name and version.
        cells: what it took.
        seconds: of one core that the tool took, on whatever machine it was.
        held_out: whether the row is kept from whoever chooses the form of a model, and tests it.
    """

    family: str
    name: str
    config: Config
    tool: str
    cells: Cells
    seconds: float
    held_out: bool = False

    def row(self) -> dict[str, str | int]:
        """Its line in a file of such, by column."""
        known: dict[str, str | int] = {
            "family": self.family,
            "name": self.name,
            "held_out": int(self.held_out),
        }
        rest = {"seconds": round(self.seconds), "tool": self.tool}
        return known | asdict(self.config) | asdict(self.cells) | rest


def synthesise_machine(config: Config, family: str, folder: Path) -> dict[str, int]:
    """Cells by type of the whole machine; design, script and log stay in `folder`.

    Raises:
        FlowError: the tool is missing or failed.
    """
    program = find_tools((SYNTHESISER,))[SYNTHESISER]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "design.il").write_text(rtlil.convert(Machine(config), name=TOP_NAME, emit_src=False))
    (folder / "synthesis.ys").write_text(f"{FAMILIES[family].script}tee -q -o cells.json stat -json\n")
    run_tool((program, "-q", "-l", "synthesis.log", "synthesis.ys"), folder, "synthesis.log")
    report = json.loads((folder / "cells.json").read_text())
    counts: dict[str, int] = report["design"]["num_cells_by_type"]
    return counts


def _core_seconds() -> float:
    """What tools have taken of a core until now; others on the machine do not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(prog="python -m tilewright.fpga.synthesise", description=__doc__)
    result.add_argument("--family", choices=FAMILIES, required=True, help="of the FPGA")
    result.add_argument(
        "--config", nargs="+", metavar="NAME|FILE", required=True, help="presets or TOML files"
    )
    result.add_argument(
        "--append", type=Path, metavar="FILE.csv", help="also write a line a configuration there"
    )
    result.add_argument("--held-out", action="store_true", help="mark the lines as kept for tests of a model")
    result.add_argument("--build-dir", type=Path, default=Path("build/fpga"), help="where files are kept")
    return result


def run(args: argparse.Namespace) -> int:
    """Synthesise one after the other; print and append each as it is done; 0."""
    configs = {name: load_config(name) for name in args.config}
    tool = tool_version(SYNTHESISER)
    for name, config in configs.items():
        stem = Path(name).stem
        start = _core_seconds()
        counts = synthesise_machine(config, args.family, args.build_dir / f"{stem}-{args.family}")
        done = Synthesis(
            family=args.family,
            name=stem,
            config=config,
            tool=tool,
            cells=FAMILIES[args.family].cells(counts),
            seconds=_core_seconds() - start,
            held_out=args.held_out,
        )
        print(" ".join(f"{column}={value}" for column, value in done.row().items()), flush=True)
        if args.append is not None:
            append_row(args.append, done.row())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    try:
        return run(parser().parse_args(arguments))
    except TilewrightError as error:
        print(f"tilewright: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
