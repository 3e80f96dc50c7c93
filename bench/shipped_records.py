"""Makes the records that come along: points in place of whole programs, where these gain enough.

    python bench/shipped_records.py [--networks squeezenet,…] [--presets reference,…] [--models FOLDER]
        [--seconds 300] [--least 0.5] [--keep FOLDER] [-o tune/data/programs.jsonl]

Each network is compiled for each preset and its program searched over, from the record that there is, if any.
What gains at least `--least` per cent of the cycles goes into the file, in place of the record before; what
gains less leaves it. Records of other programs stay. `--models` adds the networks of a folder beside the
project, as for `bench/packages.py`; `--keep` keeps the compiled networks. Without `-o` nothing is written.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.packages import networks, sizes_of

import tilewright
from tilewright.api.accel_task import accel_layers
from tilewright.api.package import Package
from tilewright.api.program_tuning import ProgramTuning
from tilewright.api.records import DEFAULT_LATENCY_CYCLES, shipped_records
from tilewright.api.tuning import Tuning
from tilewright.cli.table import format_table
from tilewright.tune.harness import Budget
from tilewright.tune.inline import Inline
from tilewright.tune.program_record import ProgramRecord
from tilewright.tune.record import Key
from tilewright.tune.session import Session

NETWORKS = "squeezenet,shufflenet,resnet18,detector,mnist-lenet-qdq,ppocr-direction"
"""Without inverted bottlenecks."""
HEADER = ("network", "preset", "layers", "default", "tuned", "gain", "trials", "seconds")


def package_of(name: str, preset: str, models: Path | None, keep: Path | None) -> Package:
    """A network for a preset, by default schedules."""
    path = None if keep is None else keep / f"{name}.{preset}.tile"
    if path is not None and path.is_file():
        return tilewright.load(path)
    (make,) = (make for known, make in networks(models) if known == name)
    network = make()
    package = tilewright.compile(
        network.model,
        config=preset,
        calibration=network.samples,
        sizes=sizes_of(network),
        accelerator=True,
        records=None,
    )
    if path is not None:
        package.save(path)
    return package


def tuned(package: Package, seconds: float, known: dict[Key, ProgramRecord]) -> ProgramTuning:
    """The search over the programs of a package, at its end."""
    session = Session()
    for record in known.values():
        session.keep(record)
    layers = accel_layers(package, DEFAULT_LATENCY_CYCLES)
    tuning = Tuning(layers=layers, session=session, measure=Inline())
    found = ProgramTuning(package, tuning, DEFAULT_LATENCY_CYCLES)
    for step in found.steps(Budget(seconds=seconds)):
        print(
            f"\r{step.done} {step.cycles:,} of {step.default_cycles:,}", end="", file=sys.stderr, flush=True
        )
    print("", file=sys.stderr)
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", default=NETWORKS)
    parser.add_argument("--presets", default="reference")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--least", type=float, default=0.5, help="per cent (default: %(default)s)")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("-o", dest="file", type=Path)
    args = parser.parse_args()
    known = {each.key: each for each in shipped_records() if isinstance(each, ProgramRecord)}
    rows = []
    for name in args.networks.split(","):
        for preset in args.presets.split(","):
            begun = time.perf_counter()
            found = tuned(package_of(name, preset, args.models, args.keep), args.seconds, known)
            for record in found.records:
                known.pop(record.key, None)
                if 100 * (1 - record.cycles / record.default_cycles) >= args.least:
                    known[record.key] = record
            gain = 1 - found.cycles / found.default_cycles
            layers = sum(len(program.layers) for program in found.programs.values())
            cycles = f"{found.default_cycles:,}", f"{found.cycles:,}", f"{gain:.2%}"
            rows.append(
                (name, preset, str(layers), *cycles, str(found.trials), f"{time.perf_counter() - begun:.0f}")
            )
            print("  ".join(rows[-1]), flush=True)
            if args.file is not None:
                lines = sorted(record.line() for record in known.values())
                args.file.write_bytes(b"".join(lines))
    print(format_table(HEADER, rows))


if __name__ == "__main__":
    main()
