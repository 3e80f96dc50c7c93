"""What schedules are worth: a layer with its default one, and with parts of it taken away.

    python bench/schedules.py [--config reference] [--latency 16] [--layers C8,C12]

Each schedule goes through its text, as `tilewright compile --schedules` writes it and `--schedule` reads it.
All of them compute the same bytes; the default one makes the same program when it is replayed.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from resnet_layers import LAYERS, network
from single_layer import add_options, machine_of, measure, without_hiding

from tilewright.cli.table import format_table
from tilewright.compiler.schedule import BufferDepth, Primitive, Split, VirtualThread
from tilewright.compiler.targets.accel.compile import compile_function
from tilewright.compiler.targets.accel.layer_schedule import (
    Schedules,
    default_schedules,
    parse_schedules,
    print_schedules,
)

_TILES = ("tile_y", "tile_x")


def _every(change: Callable[[Primitive], Primitive | None]) -> Callable[[Schedules], Schedules]:
    """A change of each primitive; None takes it away."""

    def changed(schedules: Schedules) -> Schedules:
        return {
            part: tuple(new for old in schedule if (new := change(old)) is not None)
            for part, schedule in schedules.items()
        }

    return changed


def _without_threads(primitive: Primitive) -> Primitive | None:
    return None if isinstance(primitive, VirtualThread) else primitive


def _half_tile(primitive: Primitive) -> Primitive:
    if isinstance(primitive, Split) and primitive.loop in _TILES:
        return replace(primitive, factor=-(-primitive.factor // 2))
    return primitive


def _depth_of_two(primitive: Primitive) -> Primitive:
    shared = isinstance(primitive, BufferDepth) and primitive.buffer in ("input", "weights")
    return replace(primitive, depth=2) if isinstance(primitive, BufferDepth) and shared else primitive


VARIANTS: Mapping[str, Callable[[Schedules], Schedules]] = {
    "default": lambda schedules: schedules,
    "no turns": _every(_without_threads),
    "two buffers": _every(_depth_of_two),
    "half tiles": _every(_half_tile),
    "one by one": without_hiding,
}
"""Ways to change a schedule: blocks one after the other; inputs and weights double-buffered only; tiles
of half the height and width; one version of everything."""


def main() -> int:
    """The command: 0 if every answer is right and the default schedule makes the same program again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, LAYERS)
    options = parser.parse_args()
    config, host, devices = machine_of(options)
    rows, fine = [], True
    for name in options.layers.split(","):
        named = network(LAYERS[name])
        text = print_schedules(default_schedules(named, config))
        replayed = compile_function(named, config, schedules=parse_schedules(text))
        same = (
            replayed.to_executable().to_bytes() == compile_function(named, config).to_executable().to_bytes()
        )
        counts = []
        for change in VARIANTS.values():
            schedules = parse_schedules(print_schedules(change(parse_schedules(text))))
            measured = measure(named, config, host, devices, schedules)
            fine &= measured.right
            counts.append(measured.counts)
        fine &= same
        rows.append((name, *counts, str(len(text.splitlines())), str(same)))
    print(format_table(("layer", *VARIANTS, "lines", "replays"), rows))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
