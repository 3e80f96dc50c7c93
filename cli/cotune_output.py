"""What `tilewright cotune` prints and writes: the front, a page, and the files of a point."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.cli.table import format_table
from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.api.cotune import FrontPoint
    from tilewright.api.hardware_cost import HardwareCost, LayerCost
    from tilewright.isa.config import Config
    from tilewright.tune.hardware import HardwareStudy

_KB, _MB = 1024, 1e6
Layers = Mapping[str, "Sequence[LayerCost]"]


def front_report(points: "Sequence[FrontPoint]", study: "HardwareStudy") -> dict[str, Any]:
    """The object of --json."""
    base = study.space.base
    return {
        "machines": len(study.evaluated),
        "refused": sum(each.costs is None for each in study.evaluated),
        "area": area_error(study),
        "front": [{"point": number, **point.report(base)} for number, point in enumerate(points)],
    }


def front_table(points: "Sequence[FrontPoint]", study: "HardwareStudy") -> str:
    """The front as lines, with the errors of the models below."""
    networks = tuple(points[0].costs.cycles) if points else ()
    header = ("point", *networks, "LUT", "DSP", "BRAM", "chip KB", "moved MB", "by", "array", "bus")
    lines = [format_table(header, [_row(number, each) for number, each in enumerate(points)]), ""]
    lines += [f"{number}: {_sizes(each, study.space.base)}" for number, each in enumerate(points)]
    lines.append(f"\n{len(study.evaluated):,} machines looked at; areas {area_error(study)}")
    clock = clock_error(study)
    return "\n".join([*lines, *([clock] if clock else [])])


def _sizes(point: "FrontPoint", base: "Config") -> str:
    """Those that are not as in the beginning."""
    changed = point.report(base)["changed"]
    return " ".join(f"{name}={size}" for name, size in changed.items()) or "as it began"


def _row(number: int, point: "FrontPoint") -> tuple[str, ...]:
    config = point.config
    return (
        str(number),
        *(f"{cycles:,}" for cycles in point.costs.cycles.values()),
        f"{point.area.lut:,.0f}",
        f"{point.area.dsp:,}",
        f"{point.area.bram:g}",
        f"{config.chip_bytes / _KB:,.0f}",
        f"{sum(point.costs.moved_bytes.values()) / _MB:,.1f}",
        "simulator" if point.is_measured else "model",
        f"{config.rows}×{config.cols}",
        str(config.bus_bytes),
    )


def area_error(study: "HardwareStudy") -> str:
    """How wrong the model of look-up tables is."""
    from tilewright.tune.area import AreaModel

    return f"by a form for {study.board.family}: LUT {AreaModel.fitted(study.board.family).lut}"


def clock_error(study: "HardwareStudy") -> str:
    """The clock by the model where there is one for the family, and how wrong that is."""
    if study.board.family != "ecp5":
        return ""
    from tilewright.tune.clock import ClockModel

    return f"clocks by routed ones: {ClockModel.fitted()}"


def write_outputs(
    args: argparse.Namespace, points: "Sequence[FrontPoint]", study: "HardwareStudy", cost: "HardwareCost"
) -> None:
    """Write the page and the files of a point, where they were asked for."""
    from tilewright.cli.output import new_folders, write_files

    files: dict[str, bytes] = {}
    if args.point is not None:
        folder = Path(args.folder) / f"point-{args.point}"
        files |= point_files(folder, _chosen(args, points), cost, args.latency)
    if args.show is not None:
        say("drawing the page")
        where = args.board or f"{args.luts:,} LUT, {args.dsps:,} DSP, {args.brams:,} BRAM"
        files[args.show] = page_of(f"{', '.join(cost.networks)} on {where}", points, study, cost)
        say("")
    with new_folders(files):
        write_files(files)
    if args.confirm:
        _confirm(cost, _chosen(args, points).config)


def _chosen(args: argparse.Namespace, points: "Sequence[FrontPoint]") -> "FrontPoint":
    from tilewright.isa.error import TilewrightError

    if args.point >= len(points):
        raise TilewrightError(
            f"--point must be a line of the front, from 0 to {len(points) - 1}, not {args.point}"
        )
    number: int = args.point
    return points[number]


def point_files(
    folder: Path, point: "FrontPoint", cost: "HardwareCost", latency_cycles: int
) -> dict[str, bytes]:
    """Config file, Verilog, and of each network the schedules as text and as records."""
    from tilewright.hw.verilog import emit

    files = {"config.toml": point.config.to_toml().encode(), "machine.v": emit(point.config).encode()}
    for network in cost.networks:
        layers = cost.layers(network, point.config)
        files[f"{network}.schedules"] = _schedules(layers).encode()
        files[f"{network}.records.jsonl"] = b"".join(_records(layers, point.config, latency_cycles))
    return {str(folder / name): contents for name, contents in files.items()}


def _schedules(layers: "Sequence[LayerCost]") -> str:
    from tilewright.compiler.targets.accel.layer_schedule import print_schedules

    return print_schedules({each.part: each.lowered.tunable.schedule(each.point) for each in layers})


def _records(layers: "Sequence[LayerCost]", config: "Config", latency_cycles: int) -> list[bytes]:
    """Of each distinct layer, its schedule measured by the simulator."""
    from tilewright.api.accel_runner import AccelRunner
    from tilewright.api.accel_task import key_of
    from tilewright.tune.attempt import attempt
    from tilewright.tune.record import Record

    distinct = {each.lowered.tunable.key: each for each in layers}
    found = []
    for number, layer in enumerate(distinct.values()):
        say(f"measuring layers: {number} of {len(distinct)}", number / len(distinct))
        runner = AccelRunner(lowered=layer.lowered, config=config, latency_cycles=latency_cycles)
        key = key_of(layer.lowered.tunable, config, latency_cycles)
        found.append(Record(key=key, point=layer.point, outcome=attempt(runner, layer.point)).line())
    say("")
    return found


def page_of(
    title: str, points: "Sequence[FrontPoint]", study: "HardwareStudy", cost: "HardwareCost"
) -> bytes:
    """The page of `--show`."""
    from tilewright.api.cotune import layer_rows
    from tilewright.tune.page import Page, Shown, curve_of

    base = study.space.base
    shown = [
        Shown(
            report=point.report(base),
            layers={name: layer_rows(cost.layers(name, point.config)) for name in cost.networks},
        )
        for point in points
    ]
    page = Page(
        title=title,
        board=study.board,
        base=base,
        evaluated=study.evaluated,
        front=shown,
        curves={"this search": [curve_of(study.evaluated, study.board)]},
        importance=study.importance(),
        notes=(area_error(study), clock_error(study)),
    )
    return page.html().encode()


def _confirm(cost: "HardwareCost", config: "Config") -> None:
    """Run a sample of each network in gates.

    Raises:
        TilewrightError: if gates and simulator differ.
    """
    from tilewright.isa.error import TilewrightError

    for network in cost.networks:
        say(f"running {network} in gates: minutes")
        found = cost.confirmed(config, network)
        say("")
        if not found.is_equal:
            raise TilewrightError(f"{network}: gates and simulator differ on {config.to_toml()}")
        note(f"{network}: {found.cycles:,} cycles in gates, the simulator's cycles and bytes")
