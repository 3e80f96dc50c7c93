"""`tilewright fpga report`: what a machine takes of an FPGA, how fast it is, and what bounds its clock."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.cli.table import format_table

if TYPE_CHECKING:
    from tilewright.fpga.report import RouteReport
    from tilewright.isa.config import Config

_COUNTS = ("lut", "ff", "dsp", "bram")
_FAMILIES = ("xc7", "ecp5")
_PARTS = ("datapath", "machine", "matrix", "vector", "load", "store", "fetch", "scoreboard")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "fpga",
        help="say what a machine takes of an FPGA, and how fast it is there",
        description="Say what a machine takes of an FPGA, and how fast it is there.",
    )
    commands = parser.add_subparsers(dest="fpga_command", metavar="COMMAND", required=True)
    report = commands.add_parser(
        "report",
        help="look-up tables, registers, multipliers, block RAM, clock",
        description="By models at once, with their errors. --synthesise counts cells by yosys (minutes a "
        "family), --route places and routes parts on an ECP5-85F (minutes to half an hour each): their clock "
        "and critical path.",
    )
    report.add_argument("--config", required=True, metavar="NAME|FILE", help="a preset or a TOML file")
    report.add_argument(
        "--synthesise", nargs="*", choices=_FAMILIES, metavar="FAMILY", help=f"{', '.join(_FAMILIES)}; or all"
    )
    report.add_argument("--route", nargs="+", choices=_PARTS, metavar="PART", help=", ".join(_PARTS))
    report.add_argument(
        "--seed", type=int, default=[1], nargs="+", help="of the placer; several: the best and the median"
    )
    report.add_argument("--build-dir", type=Path, default=Path("build/fpga"), help="where files are kept")
    report.add_argument("--json", action="store_true", help="print one object")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    from tilewright.isa.config import load_config

    config = load_config(args.config)
    found: dict[str, Any] = {"config": args.config, "area": _areas(config), "clock": _clock(config)}
    found["boards"] = _boards(config)
    families = _FAMILIES if args.synthesise == [] else args.synthesise or ()
    for family in families:
        found["area"].append(_synthesised(args, config, family))
    found["routed"] = [_routed(args, config, part) for part in args.route or ()]
    print(json.dumps(found, indent=2) if args.json else "\n".join(_text(found)))
    return 0


# --- by models ---------------------------------------------------------------------------------------------


def _areas(config: "Config") -> list[dict[str, Any]]:
    from tilewright.tune.area import AreaModel

    found = []
    for family in _FAMILIES:
        model = AreaModel.fitted(family)
        area = model.area(config)
        counts = {name: getattr(area, name) for name in _COUNTS}
        found.append({"family": family, **counts, "how": f"model: lut {model.lut}; ff {model.ff}"})
    return found


def _clock(config: "Config") -> dict[str, Any]:
    from tilewright.tune.clock import ClockModel

    model = ClockModel.fitted()
    return {"family": "ecp5", "mhz": round(model.mhz(config), 1), "how": f"model: {model}"}


def _boards(config: "Config") -> dict[str, list[str]]:
    """What of each board a machine lacks; nothing where it fits."""
    from tilewright.tune.area import AreaModel
    from tilewright.tune.budget import BOARDS

    return {
        name: list(board.lacks(config, AreaModel.fitted(board.family).area(config)))
        for name, board in BOARDS.items()
    }


# --- by the tools ------------------------------------------------------------------------------------------


def _synthesised(args: argparse.Namespace, config: "Config", family: str) -> dict[str, Any]:
    from tilewright.fpga.flow import SYNTHESISER, tool_version
    from tilewright.fpga.synthesise import FAMILIES, synthesise_machine
    from tilewright.tune.area import BLOCK_SHARE

    folder = args.build_dir / f"{Path(args.config).stem}-{family}"
    cells = FAMILIES[family].cells(synthesise_machine(config, family, folder))
    bram = sum(share * getattr(cells, name) for name, share in BLOCK_SHARE.items())
    counts = {"lut": cells.logic_lut + cells.ram_lut, "ff": cells.ff, "dsp": cells.dsp, "bram": bram}
    return {"family": family, **counts, "how": f"synthesised by {tool_version(SYNTHESISER)}"}


def _routed(args: argparse.Namespace, config: "Config", part: str) -> dict[str, Any]:
    """A part, placed and routed with every seed."""
    from tilewright.fpga.flow import RouteTarget, route, synthesise
    from tilewright.fpga.report import parse_report
    from tilewright.fpga.route import PARTS

    folder, target = args.build_dir / f"{Path(args.config).stem}-{part}", RouteTarget()
    synthesise(PARTS[part](config), folder)
    reports = [parse_report(route(folder, target, seed=seed)) for seed in args.seed]
    best = max(reports, key=lambda report: report.achieved_mhz)
    clocks = {seed: round(report.achieved_mhz, 1) for seed, report in zip(args.seed, reports, strict=True)}
    return {"part": part, "mhz": clocks, "speed_grade": target.speed_grade, **_of_best(best)}


def _of_best(best: "RouteReport") -> dict[str, Any]:
    return {"best": best.to_json(), "table": best.table()}


# --- as text -----------------------------------------------------------------------------------------------


def _text(found: dict[str, Any]) -> Iterator[str]:
    rows = [
        (area["family"], *(f"{area[name]:,g}" for name in _COUNTS), area["how"].partition(":")[0])
        for area in found["area"]
    ]
    yield format_table(("family", *_COUNTS, "how"), rows)
    for area in found["area"]:
        how = area["how"].partition(": ")[2]
        if how:
            yield f"{area['family']}: {how}"
    clock = found["clock"]
    yield f"\nclock  {clock['mhz']} MHz on the {clock['family']}, by the {clock['how']}"
    for name, lacks in found["boards"].items():
        yield f"{name:<11}{'lacks ' + '; '.join(lacks) if lacks else 'fits'}"
    for routed in found["routed"]:
        seeds = ", ".join(f"seed {seed}: {mhz}" for seed, mhz in routed["mhz"].items())
        yield f"\n{routed['part']}, routed ({seeds} MHz); the best:\n{routed['table']}"
