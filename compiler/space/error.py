"""Errors of knobs, points and spaces."""

from tilewright.numerics.error import TilewrightError


class SpaceError(TilewrightError):
    """A knob without values, or a point that is not in a space."""
