"""The root of the errors that input can cause, under the name that users of the contract import it by."""

from tilewright.numerics.error import TilewrightError

__all__ = ["TilewrightError"]
