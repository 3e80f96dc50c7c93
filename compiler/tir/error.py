"""Errors of loop programs."""

from tilewright.numerics.error import TilewrightError


class TirError(TilewrightError):
    """A loop program or a tensor expression that means nothing."""
