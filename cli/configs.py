"""`tilewright configs`: the presets, their sizes and their peak."""

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from tilewright.cli.table import format_table

if TYPE_CHECKING:
    from tilewright.isa.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "configs",
        help="print the presets, their sizes and their peak",
        description="Print the presets that --config takes: array, memories, bus, and products in a cycle.",
    )
    parser.add_argument("--json", action="store_true", help="print one object: every field of each preset")
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the presets as a table, or as one JSON object by name."""
    from tilewright.isa.config import PRESETS

    if args.json:
        print(json.dumps({name: describe(config) for name, config in PRESETS.items()}, indent=2))
    else:
        print(format_table(_header(), [_row(name, config) for name, config in PRESETS.items()]))
    return 0


def describe(config: "Config") -> dict[str, object]:
    """Every field of `config`, the bytes of each memory, the peak in MACs a cycle, and the digest in hex."""
    return {
        **asdict(config),
        "memory_bytes": memory_bytes(config),
        "peak_macs": config.peak_macs,
        "digest": config.digest().hex(),
    }


def memory_bytes(config: "Config") -> dict[str, int]:
    """Bytes of each memory of `config`, all banks together, by its label."""
    from tilewright.isa.memory import Memory

    return {memory.label: config.vectors(memory) * config.vector_bytes(memory) for memory in Memory}


def _header() -> tuple[str, ...]:
    from tilewright.isa.memory import Memory

    return "config", "array", "bus bytes", *(f"{memory.label} KiB" for memory in Memory), "peak MACs a cycle"


def _row(name: str, config: "Config") -> tuple[str, ...]:
    sizes = (f"{size / 1024:g}" for size in memory_bytes(config).values())
    return name, f"{config.rows}×{config.cols}", str(config.bus_bytes), *sizes, str(config.peak_macs)
