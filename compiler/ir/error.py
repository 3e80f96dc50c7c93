"""What can be wrong with a function of the IR."""

from tilewright.numerics.error import TilewrightError


class IrError(TilewrightError):
    """A function that has no meaning: which equation or value, and what must change."""


class OperatorError(IrError):
    """An operator with attributes or operands that it cannot have."""


class EvaluationError(IrError):
    """Arrays on which a function has no value: a size that differs, an index out of range."""
