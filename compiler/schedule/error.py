"""A schedule that cannot be applied."""

from tilewright.numerics.error import TilewrightError


class ScheduleError(TilewrightError):
    """A primitive that would change the meaning, or that names what is not there."""
