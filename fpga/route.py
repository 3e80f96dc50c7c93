"""`python -m tilewright.fpga.route`: how fast a part of the machine runs on an ECP5, and what it takes."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from amaranth.lib import wiring

from tilewright.fpga.datapath import Datapath
from tilewright.fpga.flow import ROUTER, SPEED_GRADES, RouteTarget, route, synthesise, tool_version
from tilewright.fpga.report import RouteReport, parse_report
from tilewright.fpga.row import append_row
from tilewright.hw.fetch import Fetch
from tilewright.hw.load import LoadEngine
from tilewright.hw.matrix import MatrixEngine
from tilewright.hw.scoreboard import Scoreboard
from tilewright.hw.store import StoreEngine
from tilewright.hw.top import Machine
from tilewright.hw.vector import VectorEngine
from tilewright.isa.config import Config, load_config
from tilewright.isa.error import TilewrightError

PARTS: Mapping[str, Callable[[Config], wiring.Component]] = MappingProxyType(
    {
        "datapath": Datapath,
        "machine": Machine,
        "matrix": MatrixEngine,
        "vector": VectorEngine,
        "load": LoadEngine,
        "store": StoreEngine,
        "fetch": Fetch,
        "scoreboard": Scoreboard,
    }
)
"""What can be routed: computing engines and memories, everything, or one unit."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    default = RouteTarget()
    result = argparse.ArgumentParser(prog="python -m tilewright.fpga.route", description=__doc__)
    result.add_argument("--config", default="ecp5-85f", metavar="NAME|FILE", help="preset or TOML file")
    result.add_argument("--part", choices=PARTS, default="datapath", help="what is routed")
    result.add_argument("--speed-grade", type=int, choices=SPEED_GRADES, default=default.speed_grade)
    result.add_argument("--package", default=default.package, help=f"of the device ({default.package})")
    result.add_argument("--clock", type=float, default=default.clock_mhz, metavar="MHZ", help="aimed at")
    result.add_argument("--seed", type=int, default=1, help="of the placer: results vary by some MHz")
    result.add_argument("--build-dir", type=Path, default=Path("build/fpga"), help="where files are kept")
    result.add_argument("--synthesis-only", action="store_true", help="count cells, route nothing")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    result.add_argument("--append", type=Path, metavar="FILE.csv", help="also write a line there, if routed")
    return result


def run(args: argparse.Namespace) -> int:
    """Synthesise, route unless told not to, and print what came out; 0."""
    folder = args.build_dir / f"{Path(args.config).stem}-{args.part}"
    counts = synthesise(PARTS[args.part](load_config(args.config)), folder).count()
    result: dict[str, object] = {"config": args.config, "part": args.part, "cells": counts}
    if args.synthesis_only:
        text = "\n".join(f"{name:<16} {count:7}" for name, count in sorted(counts.items()))
    else:
        target = RouteTarget(package=args.package, speed_grade=args.speed_grade, clock_mhz=args.clock)
        report = parse_report(route(folder, target, seed=args.seed))
        text = report.table()
        if args.append is not None:
            append_row(args.append, _row(args, target, report))
        result |= {"seed": args.seed, "speed_grade": args.speed_grade} | report.to_json()
    print(json.dumps(result) if args.json else f"{args.part} of {args.config}\n{text}")
    return 0


def _row(args: argparse.Namespace, target: RouteTarget, report: RouteReport) -> dict[str, str | int | float]:
    """The line of a routed part in a file of such, by column."""
    known = {"name": Path(args.config).stem, "part": args.part} | asdict(load_config(args.config))
    how = asdict(target) | {"seed": args.seed, "tool": tool_version(ROUTER)}
    return known | how | {"lut": report.uses["LUT4"].used, "mhz": round(report.achieved_mhz, 2)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 with one line on stderr."""
    try:
        return run(parser().parse_args(arguments))
    except TilewrightError as error:
        print(f"tilewright: error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
