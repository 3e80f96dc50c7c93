"""Runs of small programs on a device, for what is said of runs."""

import network
from tilewright.isa.assembly import assemble
from tilewright.isa.executable import Executable
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.runtime.device import Device, DeviceResult


def assembled_run(device: Device, text: str, regions: dict[int, bytes]) -> tuple[Executable, DeviceResult]:
    """A program's text on a device of its machine."""
    assembly = assemble(text)
    executable = Executable.of(assembly.program, device.config, assembly.regions)
    return executable, device.run(executable, regions)


def network_run(device: Device) -> tuple[Executable, DeviceResult]:
    """A network of a few layers, of zeros, on a device."""
    model = network.make_runnable()
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    regions = {CONSTANTS: model.constants, INPUTS: bytes(sizes[INPUTS])}
    return model.executable, device.run(model.executable, regions)
