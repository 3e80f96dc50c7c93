"""Errors of programs for the host, and of their calls."""

from tilewright.numerics.error import TilewrightError


class CpuError(TilewrightError):
    """A loop program that the host cannot run, or arguments that it does not take."""
