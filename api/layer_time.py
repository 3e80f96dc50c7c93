"""Where the time of a package's layers goes."""

from typing import TYPE_CHECKING

from tilewright.api.result import RunResult
from tilewright.isa.executable import Executable
from tilewright.runtime.device import DeviceResult
from tilewright.runtime.layer_time import LayerTime, layer_times
from tilewright.runtime.profile import LayerProfile

if TYPE_CHECKING:
    from tilewright.api.package import Package

LayeredRun = tuple[Executable, DeviceResult, tuple[LayerProfile, ...]]
"""A program, what a device says of one sample, and the profiles of its layers."""


def programs_of(package: "Package", result: RunResult) -> list[LayeredRun]:
    """The programs of a package that ran, in the order of the steps; none of the CPU."""
    models = [part.model for part in package.parts.values()]
    pairs = zip(models, result.programs, strict=False)
    return [(model.executable, each.first, each.layers) for model, each in pairs]


def layer_times_of(package: "Package", result: RunResult) -> tuple[LayerTime, ...]:
    """Of each layer on the accelerator what bounds it, and which bytes it moves."""
    return layer_times(programs_of(package, result))
