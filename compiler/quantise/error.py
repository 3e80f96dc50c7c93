"""What cannot become integers."""

from tilewright.numerics.error import TilewrightError


class QuantiseError(TilewrightError):
    """A network that cannot be quantised, with every reason at once."""


class IslandError(TilewrightError):
    """Why one operator between quantised values cannot be taken; collected, so that all are told at once."""


def require(holds: bool, reason: str) -> None:
    """Raises IslandError with that reason unless the condition holds."""
    if not holds:
        raise IslandError(reason)
