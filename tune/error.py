"""Errors of tuning."""

from tilewright.numerics.error import TilewrightError


class TuneError(TilewrightError):
    """A search, a record or a measurement that cannot be made as asked."""
