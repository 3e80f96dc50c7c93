"""Devices and configurations as commands name them."""

from typing import TYPE_CHECKING

from tilewright.cli.terminal import note, say

if TYPE_CHECKING:
    from tilewright.isa.config import Config
    from tilewright.runtime.device import Device

SIM, RTL, CPU = DEVICES = ("sim", "rtl", "cpu")
DEFAULT_CONFIG = "reference"
DEFAULT_LATENCY_CYCLES = 16


def make_device(name: str, config: "Config") -> "Device":
    """The device `SIM` or `RTL`; gates say on stderr what the user may wait for."""
    if name == SIM:
        from tilewright.runtime.sim_device import SimDevice

        say("preparing the simulator: the first time takes seconds")
        simulator = SimDevice(config)
        say("")
        return simulator
    from tilewright.runtime.rtl_device import RTL_AMARANTH, RtlDevice

    say("preparing the gates: the first time takes minutes")
    device = RtlDevice(config)
    say("")
    if device.name == RTL_AMARANTH:
        note(
            "no Verilator or no C++ compiler (tilewright doctor --for rtl says more): "
            f"the gates run slowly, as device {RTL_AMARANTH}"
        )
    return device


def config_name(config: "Config", named: str | None) -> str:
    """The preset's name, else the file that the user named, else the digest."""
    from tilewright.isa.config import PRESETS

    known = (name for name, preset in PRESETS.items() if preset == config)
    return next(known, None) or named or config.digest().hex()
