"""What running a package gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tilewright.runtime.model_runner import ModelResult


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a device says of some samples.

    Members:
        outputs: by name; samples along the first axis.
        device: what ran it.
        samples: how many.
        programs: of each program on the accelerator, in the order of the steps; none on the CPU.
        seconds: wall time, without compiling.
        host_seconds: of these what the CPU took, by what it did; and besides these, `compile`: until it had
            machine code.
    """

    outputs: Mapping[str, NDArray[Any]]
    device: str
    samples: int
    programs: tuple[ModelResult, ...]
    seconds: float
    host_seconds: Mapping[str, float]

    @property
    def cycles(self) -> int | None:
        """Of all programs of one sample, each from its start to its finish; None if there is none."""
        return sum(each.cycles for each in self.programs) if self.programs else None
