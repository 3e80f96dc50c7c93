"""A 512 x 512 x 512 int8 product at 16 x 16: utilisation, and how fast simulator and gates run it.

    python bench/matmul.py [--size 512] [--config reference] [--without-rtl]

Prints the hand-tiled program with double buffering beside the same without any latency hiding.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from matmul import Product
from matmul_demo import random_operands
from single_layer import configuration

from tilewright.cli.machine import make_device
from tilewright.cli.table import format_table
from tilewright.isa.assembly import assemble
from tilewright.isa.checker import check
from tilewright.isa.executable import Executable
from tilewright.runtime.device import Device

REPEATS = 9


def measure(device: Device, product: Product, repeats: int) -> tuple[int, float, bool]:
    """Cycles, median wall seconds of a run (without building or checking), whether the product is right."""
    assembly = assemble(product.text())
    executable = Executable.of(assembly.program, product.config, regions=assembly.regions)
    regions, expected = random_operands(product)
    results = [device.run(executable, regions) for _ in range(repeats)]
    right = all(result.regions[3] == expected for result in results)
    return results[0].cycles, statistics.median(result.seconds for result in results), right


def main() -> int:
    """The command: 0 if every product is right and the devices agree on the cycles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=configuration, default="reference", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=512, help="default: %(default)s")
    parser.add_argument("--without-rtl", action="store_true", help="the simulator alone")
    options = parser.parse_args()
    config = options.config
    devices = [make_device(name, config) for name in ("sim", *(() if options.without_rtl else ("rtl",)))]
    rows, fine = [], True
    for overlap in (True, False):
        product = Product(config, options.size, options.size, options.size, overlap)
        counts = set()
        for device in devices:
            cycles, seconds, right = measure(device, product, REPEATS if device.name == "sim" else 1)
            counts.add(cycles)
            fine &= right
            rows.append(_row(product, device.name, cycles, seconds, right))
        fine &= len(counts) == 1
    print(format_table(("schedule", "device", "cycles", "of peak", "right", "seconds", "Mcycle/s"), rows))
    print(f"\nchecking the program takes {_check_seconds(product) * 1e3:.0f} ms, once")
    return 0 if fine else 1


def _row(
    product: Product, device: str, cycles: int, seconds: float, right: bool
) -> tuple[str, str, str, str, str, str, str]:
    schedule = "double buffers" if product.overlap else "no latency hiding"
    utilisation = product.macs / (cycles * product.config.peak_macs)
    speed = cycles / seconds / 1e6
    return schedule, device, str(cycles), f"{utilisation:.2%}", str(right), f"{seconds:.3f}", f"{speed:.2f}"


def _check_seconds(product: Product) -> float:
    program = assemble(product.text()).program
    begun = time.perf_counter()
    check(program, product.config).raise_for_problems()
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
