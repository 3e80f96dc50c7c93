"""Errors of functions of the IR."""

from tilewright.numerics.error import TilewrightError


class IrError(TilewrightError):
    """A function that has no meaning: the equation or value, and the remedy."""


class OperatorError(IrError):
    """An operator with attributes or operands that it cannot have."""


class EvaluationError(IrError):
    """Arrays on which a function has no result: a size that differs, an index out of range."""
