"""What can be wrong with a model file."""

from tilewright.numerics.error import TilewrightError


class FrontendError(TilewrightError):
    """A model file that cannot be read, or a model that cannot be taken."""


class UnsupportedError(TilewrightError):
    """Why one node cannot be taken; collected, so that all are told at once."""


def require(holds: bool, reason: str) -> None:
    """Raises UnsupportedError with that reason unless the condition holds."""
    if not holds:
        raise UnsupportedError(reason)
