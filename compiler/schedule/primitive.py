"""The base of schedule primitives: a value with a pure `apply`, printed as one line."""

import re
from dataclasses import dataclass, fields

from tilewright.compiler.schedule.error import ScheduleError
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import PrimFunc


@dataclass(frozen=True)
class Primitive:
    """A step of a schedule. Its fields are names, numbers, scopes and tuples of names."""

    @classmethod
    def verb(cls) -> str:
        """The name in texts: `compute_at` of ComputeAt."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with this step done, of the same meaning.

        Raises:
            ScheduleError: if it cannot be done: says why, what would work, and shows the loops.
        """
        raise NotImplementedError

    def refusal(self, function: PrimFunc, reason: str) -> ScheduleError:
        """The error to raise: this step, why it cannot be done and the remedy, the function below."""
        return ScheduleError(f"{self}: {reason}\n{print_function(function)}")

    def __str__(self) -> str:
        words = [f"{item.name}={_text(getattr(self, item.name))}" for item in fields(self)]
        return " ".join([self.verb(), *words])


def _text(value: object) -> str:
    return ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
