"""What is wrong with the use of a package."""

from tilewright.numerics.error import TilewrightError


class PackageError(TilewrightError):
    """A package that cannot be used so: what must change."""
