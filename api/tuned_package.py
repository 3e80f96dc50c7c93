"""Packages by records: programs with the best known points, as far as they are faster as a whole.

Layers that are faster alone may hold each other up: one fetches less while the one before ends. So a program
that records speak for runs beside the default one, and the one of fewer cycles stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from tilewright.api.accel_task import SIM, program_key
from tilewright.api.package import Package
from tilewright.api.program_clock import ProgramClock
from tilewright.api.records import DEFAULT_LATENCY_CYCLES, TunedPoints, fits, unnoted
from tilewright.compiler.targets.accel.compile import Variant, Variants
from tilewright.compiler.targets.accel.cost.problem import assumed_latency
from tilewright.compiler.targets.accel.layer_schedule import Points
from tilewright.numerics.error import TilewrightError
from tilewright.tune.record_index import Records


@dataclass(frozen=True, kw_only=True)
class RecordedPrograms:
    """Names the fastest program of a function that records know of, as `split_network` asks for it.

    A record of the program itself goes before those of its layers. Whatever records say, a program that is
    not faster than the default one is not taken.

    Members:
        records: of any layers, programs, machines and latencies.
        latency_cycles: of the memory.
        device: that runs the programs: "sim" or "rtl".
        note: is told of a record that holds no longer.
    """

    records: Records
    latency_cycles: int = DEFAULT_LATENCY_CYCLES
    device: str = SIM
    note: Callable[[str], object] = unnoted

    def __call__(self, variants: Variants, default: Variant) -> Variant:
        """The faster program, or the default."""
        machine = variants.config.digest().hex()
        if all(key.machine != machine for key in self.records.keys()):  # noqa: SIM118
            return default
        return self._recorded(variants, default) or self._by_layers(variants, default) or default

    def _recorded(self, variants: Variants, default: Variant) -> Variant | None:
        """The program of a record of all of it, if it is faster."""
        record = self.records.program(program_key(variants, self.latency_cycles, self.device))
        if record is None or not record.points:
            return None
        layers = list(variants.lowered.items())
        of = f"a record of a program of {len(layers)} layers is skipped"
        if not all(
            number < len(layers) and fits(layers[number][1].tunable, point)
            for number, point in record.points.items()
        ):
            self.note(f"{of}: its points fit no more")
            return None
        points = {layers[number][0]: point for number, point in record.points.items()}
        found = self._faster(variants, default, points)
        if found is None:
            self.note(f"{of}: the default is as fast now")
        return found

    def _by_layers(self, variants: Variants, default: Variant) -> Variant | None:
        """The program with the best point of each layer, if it is faster."""
        best = TunedPoints(
            records=self.records,
            config=variants.config,
            latency_cycles=self.latency_cycles,
            device=self.device,
        )
        points = best.points(variants)
        return self._faster(variants, default, points) if points else None

    def _faster(self, variants: Variants, default: Variant, points: Points) -> Variant | None:
        """The program with these points; None if there is none, or the default is as fast."""
        try:
            found = variants.variant(points)
        except TilewrightError:
            return None
        clock = ProgramClock(variants.config, self.latency_cycles, self.device)
        return found if clock.cycles(found.executable) < clock.cycles(default.executable) else None


def tuned_package(
    package: Package, records: Records, latency_cycles: int = DEFAULT_LATENCY_CYCLES, device: str = SIM
) -> Package:
    """A package by the best points in records; a program that is not faster as a whole stays as it is.

    Args:
        package: with programs by default schedules.
        records: of its layers and programs.
        latency_cycles: of the memory.
        device: that runs the programs: "sim" or "rtl".
    """
    improve = RecordedPrograms(records=records, latency_cycles=latency_cycles, device=device)
    parts = {}
    for value, part in package.parts.items():
        variants = Variants(part.integers, package.config, latency_cycles=assumed_latency(latency_cycles))
        found = improve(variants, variants.variant())
        parts[value] = replace(part, model=found.model(), points=found.points) if found.points else part
    return replace(package, parts=parts)


def package_cycles(package: Package, latency_cycles: int, device: str = SIM) -> int:
    """Of all programs of a package, one sample."""
    clock = ProgramClock(package.config, latency_cycles, device)
    return sum(clock.cycles(part.model.executable) for part in package.parts.values())
