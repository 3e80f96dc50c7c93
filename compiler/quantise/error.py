"""Errors of quantisation."""

from tilewright.numerics.error import TilewrightError


class QuantiseError(TilewrightError):
    """A network that cannot be quantised, with every reason at once."""


class GroupError(TilewrightError):
    """Why an operator, or a group of operators, cannot be taken; collected, so that all are told at once."""


def require(holds: bool, reason: str) -> None:
    """Raises GroupError with that reason unless the condition holds."""
    if not holds:
        raise GroupError(reason)
