"""The interface of targets."""

from typing import Protocol

from tilewright.compiler.ir.function import Equation, Function


class Target(Protocol):
    """A target, which can run a part of a function."""

    @property
    def name(self) -> str:
        """Unique among the targets of a partition."""
        ...

    def refusal(self, equation: Equation, function: Function) -> str | None:
        """The reason why it cannot run an equation of a function, in words for users; None if it can.

        Constants are not asked for: each kernel has its own copy of those that it reads.
        """
        ...
