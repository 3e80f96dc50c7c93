"""What can be wrong with a model, beside what `frontend.error` has."""

from collections.abc import Iterable

from tilewright.compiler.frontend.error import FrontendError, UnsupportedError


class ValueNeededError(UnsupportedError):
    """A node whose result has a shape that depends on the elements of inputs of the model.

    Members:
        inputs: names of inputs that would have to be known; empty if it depends on something else.
    """

    def __init__(self, inputs: Iterable[str], what: str) -> None:
        self.inputs = tuple(sorted(inputs))
        names = ", ".join(repr(name) for name in self.inputs)
        which = f"input {names}" if names else f"{what} (computed while the model runs)"
        super().__init__(f"the value of {which} must be known")


class UnknownInputsError(FrontendError):
    """A model that can be imported once the elements of some inputs are given.

    Members:
        inputs: their names.
    """

    def __init__(self, message: str, inputs: Iterable[str]) -> None:
        self.inputs = tuple(sorted(inputs))
        super().__init__(message)
