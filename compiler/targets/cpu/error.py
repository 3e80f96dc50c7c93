"""What is wrong with a program for the host, or with a call of one."""

from tilewright.numerics.error import TilewrightError


class CpuError(TilewrightError):
    """A loop program that the host cannot run, or arguments that it does not take."""
