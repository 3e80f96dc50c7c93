"""The features of a machine that micro-kernels are written for."""

from dataclasses import dataclass
from enum import StrEnum

from tilewright.compiler.targets.cpu.machine import HostMachine


class DotInstruction(StrEnum):
    """Instructions that add four products of uint8 and int8 in a lane of int32; all are exact."""

    AMX = "amx"
    """tdpbusd, on tiles of 16 x 16 sums."""
    AVX512_VNNI = "avx512vnni"
    """vpdpbusd, 16 lanes."""
    AVX_VNNI = "avxvnni"
    """vpdpbusd, 8 lanes."""
    AVX2 = "avx2"
    """vpmaddwd of operands widened to int16: vpmaddubsw would saturate."""
    PLAIN = "plain"
    """Multiplications and additions that any machine has."""


@dataclass(frozen=True)
class Features:
    """Registers and instructions.

    Members:
        vector_bytes: of a register.
        registers: their number.
        dot: the instruction for products of int8.
    """

    vector_bytes: int = 16
    registers: int = 16
    dot: DotInstruction = DotInstruction.PLAIN

    @property
    def pairs_shorts(self) -> bool:
        """Whether products of int8 are of pairs of int16: what is read again and again is widened once."""
        return self.dot in (DotInstruction.AVX2, DotInstruction.PLAIN)

    @staticmethod
    def of(machine: HostMachine | None) -> "Features":
        """The features of a machine; the fewest if none is named."""
        has = set() if machine is None else set(machine.features.split(","))
        wide = {"+avx512f", "+avx512bw", "+avx512vl"} <= has
        dots = {
            DotInstruction.AMX: wide and {"+amx-tile", "+amx-int8"} <= has,
            DotInstruction.AVX512_VNNI: wide and "+avx512vnni" in has,
            DotInstruction.AVX_VNNI: "+avxvnni" in has,
            DotInstruction.AVX2: "+avx2" in has,
        }
        dot = next((dot for dot, there in dots.items() if there), DotInstruction.PLAIN)
        if wide:
            return Features(64, 32, dot)
        return Features(32 if "+avx2" in has else 16, 16, dot)
