"""Assembles a tiled int8 matrix product and runs it on the simulator and in the gates.

    python examples/matmul_demo.py [--config tiny] [--size 64]

The program is written as assembler text (examples/matmul.py), checked, and run on both devices; both must
give numpy's product, in the same number of cycles.
"""

import argparse
import sys
from collections.abc import Mapping

import numpy as np
from matmul import Product

from tilewright.cli.machine import make_device
from tilewright.cli.table import format_table
from tilewright.isa.assembly import assemble
from tilewright.isa.checker import check
from tilewright.isa.config import load_config
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.numerics.requantise import pack_scale, quantise_multiplier
from tilewright.runtime.device import DeviceResult


def random_operands(product: Product) -> tuple[dict[int, bytes], bytes]:
    """What lies behind base registers 0 to 2, and the bytes that must come out behind 3."""
    rng = np.random.default_rng(1)
    a = rng.integers(-128, 128, (product.m, product.k), dtype=np.int8)
    b = rng.integers(-128, 128, (product.k, product.n), dtype=np.int8)
    bias = rng.integers(-(1 << 12), 1 << 12, product.n, dtype=np.int32)
    # Scales that bring most sums into int8: their spread grows with the square root of their length.
    real = rng.uniform(0.5, 1.5, product.n) * 40 / (74 * 74 * np.sqrt(product.k))
    scale = pack_scale(*np.transpose([quantise_multiplier(value) for value in real]))
    regions = {0: a.tobytes(), 1: product.pack_weights(b), 2: product.pack_parameters(bias, scale)}
    return regions, product.expected(a, b, bias, scale).tobytes()


def run_everywhere(product: Product) -> tuple[Mapping[str, DeviceResult], bytes]:
    """The results of both devices by name, and what they must be."""
    assembly = assemble(product.text())
    sizes = {region.base: region.size_bytes for region in assembly.regions}
    check(assembly.program, product.config, region_bytes=sizes).raise_for_problems()
    executable = Executable.of(assembly.program, product.config, regions=assembly.regions)
    regions, expected = random_operands(product)
    results = {}
    for name in ("sim", "rtl"):
        device = make_device(name, product.config)
        results[device.name] = device.run(executable, regions)
    return results, expected


def main() -> int:
    """The command: 0 if both devices agree with numpy and with each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="tiny", help="a preset or a TOML file (default: %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="rows and columns (default: %(default)s)")
    options = parser.parse_args()
    try:
        product = Product(load_config(options.config), options.size, options.size, options.size)
        results, expected = run_everywhere(product)
    except TilewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return _report(options.config, product, results, expected)


def _report(config: str, product: Product, results: Mapping[str, DeviceResult], expected: bytes) -> int:
    size, peak = f"{product.m}x{product.k}x{product.n}", product.config.peak_macs
    print(f"int8 matrix product {size} with requantisation on {config} ({peak} MACs a cycle)\n")
    rows = [_row(product, name, result, expected) for name, result in results.items()]
    print(format_table(("device", "cycles", "utilisation", "equals numpy", "seconds"), rows))
    cycles = {result.cycles for result in results.values()}
    right = all(result.fault is None and result.regions[3] == expected for result in results.values())
    print(f"\nsame bytes everywhere: {_yes(right)}; same cycles: {_yes(len(cycles) == 1)}")
    return 0 if right and len(cycles) == 1 else 1


def _row(product: Product, name: str, result: DeviceResult, expected: bytes) -> tuple[str, ...]:
    utilisation = product.macs / (result.cycles * product.config.peak_macs)
    return (
        name,
        str(result.cycles),
        f"{utilisation:.1%}",
        _yes(result.fault is None and result.regions[3] == expected),
        f"{result.seconds:.3f}",
    )


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


if __name__ == "__main__":
    sys.exit(main())
