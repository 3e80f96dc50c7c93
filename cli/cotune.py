"""`tilewright cotune`: machines for a board, tuned together with the schedules of networks."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tilewright.cli.machine import DEFAULT_CONFIG, DEFAULT_LATENCY_CYCLES
from tilewright.cli.option import NO_RECORDS, QUICK_RANGES, add_network_options
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.cotune import FrontPoint
    from tilewright.api.hardware_cost import HardwareCost
    from tilewright.api.package import Package
    from tilewright.isa.config import Config
    from tilewright.runtime.model_input import Samples
    from tilewright.tune.budget import Board
    from tilewright.tune.hardware import HardwareStudy

SAMPLERS = ("tpe", "nsga", "random")
"""As in `tune.hardware`, which is not imported before it is needed."""
_TRIALS, _MEASURED = 200, 8
_JOURNAL = "journal.jsonl"
_BUDGET = ("luts", "dsps", "brams")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "cotune",
        help="find machines for networks and a board",
        description=(
            "Find machines that run networks in few cycles and take little of a board: each is proposed by "
            "Optuna and costed by the models of schedules; the front is measured by the simulator."
        ),
    )
    parser.add_argument("files", metavar="MODEL", nargs="+", help="ONNX files or compiled models")
    _add_budget(parser)
    _add_search(parser)
    add_network_options(
        parser,
        "data for quantisation, in the forms of --input of run (default: random ones)",
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", dest="folder", metavar="FOLDER", help=f"keep the search in FOLDER/{_JOURNAL}, and go on from it"
    )
    group.add_argument("--show", metavar="FILE.html", help="write a page that draws all of it")
    group.add_argument(
        "--point",
        metavar="N",
        type=int,
        help="write config file, schedules, records, Verilog of this line of the front to FOLDER/point-N",
    )
    group.add_argument("--confirm", action="store_true", help="run the point N in gates, too: minutes")
    group.add_argument("--json", action="store_true", help="print one object")
    return parser


def _add_budget(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("budget")
    group.add_argument("--board", metavar="NAME", help="a board that is known: ecp5-85f, zu3eg, zynq-7020")
    group.add_argument("--luts", metavar="N", type=int, help="look-up tables, where no board is named")
    group.add_argument("--dsps", metavar="N", type=int, help="multipliers")
    group.add_argument("--brams", metavar="N", type=int, help="block RAMs: of 36 Kbit (xc7), 16 Kbit (ecp5)")
    group.add_argument("--family", choices=("xc7", "ecp5"), help="of the budget's cells (default: xc7)")
    group.add_argument("--bus", metavar="BYTES", type=int, help="the width of the bus (default: it varies)")


def _add_search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search")
    group.add_argument(
        "--start",
        metavar="NAME|FILE",
        help=f"the machine to begin with (default: the board's preset, or {DEFAULT_CONFIG})",
    )
    group.add_argument(
        "--fix", metavar="FIELD", action="append", default=[], help="a size that stays as in --start"
    )
    group.add_argument(
        "--trials", metavar="N", type=int, default=_TRIALS, help="machines to look at (default: %(default)s)"
    )
    group.add_argument("--sampler", choices=SAMPLERS, default=SAMPLERS[0], help="default: %(default)s")
    group.add_argument("--seed", metavar="N", type=int, default=0, help="default: %(default)s")
    group.add_argument(
        "--measure",
        metavar="N",
        type=int,
        default=_MEASURED,
        help="machines of the front that the simulator measures; 0: none (default: %(default)s)",
    )
    group.add_argument(
        "--latency",
        metavar="CYCLES",
        type=int,
        default=DEFAULT_LATENCY_CYCLES,
        help="of the memory outside (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Search, measure the front, print it, and write what was asked for."""
    from tilewright.api.hardware_cost import HardwareCost
    from tilewright.cli.cotune_output import front_report, front_table, write_outputs
    from tilewright.cli.output import require_apart

    _refuse(args)
    require_apart((args.show,), (*args.files, args.start, args.calibrate))
    board = _board(args)
    base = _base(args, board)
    packages = _packages(args, base)
    cost = HardwareCost(packages, args.latency)
    study = _study(args, base, board, cost)
    _search(study, args.trials)
    points = _front(args, study, cost)
    if args.json:
        print(json.dumps(front_report(points, study), indent=2))
    else:
        print(front_table(points, study))
    write_outputs(args, points, study, cost)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse options that have no meaning together, all at once.

    Raises:
        TilewrightError: naming them.
    """
    from tilewright.isa.error import TilewrightError

    given = [f"--{name}" for name in _BUDGET if getattr(args, name) is not None]
    least = {"trials": 1, "measure": 0, "seed": 0, "latency": 0, **dict.fromkeys(_BUDGET, 1), "point": 0}
    problems = [
        f"--{name} must be from {low}, not {getattr(args, name)}"
        for name, low in least.items()
        if getattr(args, name) is not None and getattr(args, name) < low
    ]
    if args.board is not None and (given or args.family):
        problems.append(f"--board has a budget: drop {' and '.join(given or ['--family'])}")
    if args.board is None and len(given) < len(_BUDGET):
        problems.append("the budget must be known: give --board NAME, or --luts N --dsps N --brams N")
    if args.point is not None and args.folder is None:
        problems.append("--point writes into a folder: give -o FOLDER")
    if args.confirm and args.point is None:
        problems.append("--confirm runs a point: give --point N")
    if problems:
        raise TilewrightError("; ".join(problems))


def _board(args: argparse.Namespace) -> "Board":
    from tilewright.isa.error import TilewrightError
    from tilewright.tune.budget import BOARDS, Board

    if args.board is None:
        return Board(
            family=args.family or "xc7",
            lut=args.luts,
            # Both families have two registers beside a look-up table, or one beside each of two.
            ff=2 * args.luts,
            dsp=args.dsps,
            bram=args.brams,
            bus_bytes=(8, 16, 32, 64) if args.bus is None else (args.bus,),
            source="given",
        )
    if args.board not in BOARDS:
        raise TilewrightError(f"--board must be one of {', '.join(BOARDS)}, not {args.board!r}")
    return BOARDS[args.board]


def _base(args: argparse.Namespace, board: "Board") -> "Config":
    """The machine that the search begins with, on the bus that is given."""
    from dataclasses import replace

    from tilewright.isa.config import PRESETS, load_config

    named = args.start or (args.board if args.board in PRESETS else DEFAULT_CONFIG)
    base = load_config(named)
    bus = args.bus or (base.bus_bytes if base.bus_bytes in board.bus_bytes else max(board.bus_bytes))
    return replace(base, bus_bytes=bus)


def _packages(args: argparse.Namespace, base: "Config") -> "dict[str, Package]":
    """The networks by the stems of their files, quantised."""
    from pathlib import Path

    from tilewright.isa.error import TilewrightError

    found = {}
    for file in args.files:
        name = Path(file).stem
        if name in found:
            raise TilewrightError(f"{file}: networks must have names of their own: {name!r} is given twice")
        found[name] = _package(args, file, base)
    return found


def _package(args: argparse.Namespace, file: str, base: "Config") -> "Package":
    from dataclasses import replace

    from tilewright.cli.kind import Kind, kind_of
    from tilewright.cli.network import compile_network, open_network, sized_network

    own = argparse.Namespace(
        **vars(args), file=file, config=None, float=False, input=None, records=[NO_RECORDS]
    )
    network = open_network(own)
    if kind_of(file) is not Kind.ONNX:
        return network.package or compile_network(network, own, None, None)
    calibration = None if args.calibrate is None else network.inputs.read(args.calibrate)
    network = replace(sized_network(network, own, {args.calibrate: calibration}), config=base)
    if calibration is None:
        calibration = _random(network.inputs.zeros())
    return compile_network(network, own, calibration, None, ranges=QUICK_RANGES)


def _random(zeros: "Samples | None") -> "Samples | None":
    """A sample of a normal distribution: scales change no cycles."""
    import numpy as np

    rng = np.random.default_rng(0)
    if zeros is None:
        return None
    return {
        name: rng.standard_normal(each.shape).astype(each.dtype) if each.dtype.kind == "f" else each
        for name, each in zeros.items()
    }


def _study(args: argparse.Namespace, base: "Config", board: "Board", cost: "HardwareCost") -> "HardwareStudy":
    from pathlib import Path

    from tilewright.tune.area import AreaModel
    from tilewright.tune.hardware import HardwareStudy
    from tilewright.tune.hardware_space import HardwareSpace

    fixed = [*args.fix, *(["bus_bytes"] if args.bus else [])]
    space = HardwareSpace.around(base, fixed=fixed, allowed={"bus_bytes": board.bus_bytes})
    journal = None
    if args.folder is not None:
        Path(args.folder).mkdir(parents=True, exist_ok=True)
        journal = Path(args.folder) / _JOURNAL
    return HardwareStudy(
        space,
        cost,
        AreaModel.fitted(board.family),
        board,
        sampler=args.sampler,
        seed=args.seed,
        journal=journal,
    )


def _search(study: "HardwareStudy", trials: int) -> None:
    """Look at machines until there are enough, or the user has had enough."""
    best = None
    try:
        for found in study.run(trials):
            if found.costs is not None:
                best = min(best or found.costs.latency, found.costs.latency)
            count = len(study.evaluated)
            told = "" if best is None else f", the fastest takes {best:,.0f} cycles by the model"
            say(f"{count:,} of {trials:,} machines{told}", count / trials)
    except KeyboardInterrupt:
        note(f"stopped at {len(study.evaluated):,} of {trials:,} machines: what was found is kept")
        if not study.evaluated:
            raise
    say("")


def _front(args: argparse.Namespace, study: "HardwareStudy", cost: "HardwareCost") -> "Sequence[FrontPoint]":
    from tilewright.api.cotune import front_points, measured_front, spread_of_front

    if not args.measure:
        return front_points(study.evaluated, study.board)
    chosen = spread_of_front(study.evaluated, study.board, args.measure)
    points = measured_front(cost, chosen, study.board, _measuring())
    say("")
    return points


def _measuring() -> Callable[[int, int], None]:
    return lambda done, count: say(f"measuring the front: {done} of {count} machines", done / count)
