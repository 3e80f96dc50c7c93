"""Samples that a network is trained or judged on, checked as a whole before any work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.api.error import PackageError
from tilewright.compiler.ir.named import NamedFunction
from tilewright.runtime.model_input import check_inputs

Array = NDArray[Any]
Samples = Mapping[str, Array]


@dataclass(frozen=True)
class FinetuneData:
    """Samples.

    Members:
        names: of the network's inputs.
        arrays: of each, in their order, [samples, …].
        labels: int64 [samples]; None if there are none.
    """

    names: tuple[str, ...]
    arrays: tuple[Array, ...]
    labels: Array | None

    @staticmethod
    def of(
        named: NamedFunction,
        given: Mapping[str, ArrayLike],
        labels: ArrayLike | None,
        least: int,
        what: str = "",
    ) -> "FinetuneData":
        """The samples that a user gives.

        Args:
            named: the network; all sizes behind the batch are numbers.
            given: by name of an input.
            labels: the right class of each; None: there are none.
            least: how many samples there must be.
            what: of which data, for messages.

        Raises:
            InputError: if names, shapes or element types do not fit.
            PackageError: if there are too few samples, or labels are no class each.
        """
        types = named.input_types
        shapes = {
            name: tuple(size if isinstance(size, int) else None for size in tensor.shape[1:])
            for name, tensor in types.items()
        }
        found = check_inputs(shapes, given, {name: tensor.dtype.numpy for name, tensor in types.items()})
        arrays = tuple(np.ascontiguousarray(found[name]) for name in named.inputs)
        count = len(arrays[0])
        if count < least:
            raise PackageError(f"{what}data must have a batch of samples, {least} or more, not {count}")
        classes = None if labels is None else _labels(labels, count, what)
        return FinetuneData(named.inputs, arrays, classes)

    @property
    def count(self) -> int:
        """The number of samples."""
        return len(self.arrays[0])

    @property
    def all(self) -> tuple[Array, ...]:
        """Inputs, and labels if there are such."""
        return self.arrays if self.labels is None else (*self.arrays, self.labels)

    def spread(self, count: int) -> Samples:
        """As many samples by name, or all, at even distances."""
        places = np.unique(np.linspace(0, self.count - 1, min(count, self.count)).astype(np.int64))
        return {name: array[places] for name, array in zip(self.names, self.arrays, strict=True)}


def _labels(labels: ArrayLike, count: int, what: str) -> Array:
    found = np.asarray(labels)
    if found.dtype.kind not in "iu" or found.shape != (count,):
        raise PackageError(
            f"{what}labels must be {count} integers, one for each sample, "
            f"not {found.dtype} {list(found.shape)}"
        )
    if found.min() < 0:
        raise PackageError(f"{what}labels must be classes from 0, not {found.min()}")
    return found.astype(np.int64)
