"""The two targets as a partition asks them."""

from dataclasses import dataclass, field

from tilewright.compiler.ir.function import Equation, Function
from tilewright.compiler.ir.kernel import Kernel
from tilewright.compiler.quantise.judge import Verdicts

ACCELERATOR = "accelerator"
HOST = "cpu"


@dataclass(frozen=True)
class Accelerator:
    """Runs what can become integers.

    Members:
        verdicts: why equations cannot; `quantise.judge`.
        refused: why further ones cannot, which only compiling them showed; by their first results.
    """

    verdicts: Verdicts
    refused: Verdicts = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the target in kernels."""
        return ACCELERATOR

    def refusal(self, equation: Equation, function: Function) -> str | None:
        """Why it cannot run an equation."""
        first = equation.results[0]
        return self.verdicts.get(first) or self.refused.get(first)

    def without(self, refused: Verdicts) -> "Accelerator":
        """The accelerator that refuses more."""
        return Accelerator(self.verdicts, {**self.refused, **refused})


def refused_kernel(equation: Equation, reason: str) -> Verdicts:
    """All equations of a kernel, with the reason: which of them is to blame, that says."""
    assert isinstance(equation.operator, Kernel)
    return {each.results[0]: reason for each in equation.operator.body.equations if each.operands}


@dataclass(frozen=True)
class HostTarget:
    """Runs everything."""

    @property
    def name(self) -> str:
        """The name of the target in kernels."""
        return HOST

    def refusal(self, equation: Equation, function: Function) -> str | None:
        """Nothing is refused."""
        return None
