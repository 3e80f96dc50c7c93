"""What can be wrong with a network that is trained for integers."""

from tilewright.numerics.error import TilewrightError


class FinetuneError(TilewrightError):
    """A network that cannot be trained for integers."""
