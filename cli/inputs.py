"""What a network takes and gives, and files of its inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilewright.cli.data import read_arrays

if TYPE_CHECKING:
    import numpy as np

    from tilewright.compiler.ir.named import NamedFunction
    from tilewright.runtime.model_input import Samples


@dataclass(frozen=True)
class Ports:
    """One side of a network.

    Members:
        shapes: of one sample of each tensor, by name, or of all of it without a batch; None for a size that
            only data tell.
        dtypes: element types, by name.
        has_batch: whether all tensors have samples along the first axis.
    """

    shapes: Mapping[str, tuple[int | None, ...]]
    dtypes: "Mapping[str, np.dtype[Any]]"
    has_batch: bool

    def read(self, path: str) -> "Samples":
        """The arrays of a file for all of them.

        Raises:
            TilewrightError: naming the file, if they do not fit.
            OSError: if it cannot be read.
        """
        return self.checked(path, read_arrays(path, self.shapes))

    def checked(self, path: str, arrays: "Mapping[str, np.ndarray[Any, Any]]") -> "Samples":
        """Arrays that were read from a file, as the network takes them.

        Raises:
            TilewrightError: naming the file, if they do not fit.
        """
        from tilewright.isa.error import TilewrightError
        from tilewright.runtime.model_input import InputError, check_inputs

        try:
            return check_inputs(self.shapes, arrays, self.dtypes, has_batch=self.has_batch)
        except InputError as error:
            raise TilewrightError(f"{path}: {error}") from None

    def zeros(self) -> "Samples | None":
        """One sample of zeros; None if a size is not known."""
        import numpy as np

        shapes = {name: (1, *shape) if self.has_batch else shape for name, shape in self.shapes.items()}
        known = {name: tuple(size for size in shape if size is not None) for name, shape in shapes.items()}
        if known != shapes:
            return None
        return {name: np.zeros(shape, self.dtypes[name]) for name, shape in known.items()}


def inputs_of(named: "NamedFunction", by_sample: bool = False) -> Ports:
    """What a function takes.

    Args:
        named: the function.
        by_sample: whether it is known that all first axes are a batch; else they are if they are the same.
    """
    from tilewright.compiler.ir.size import Size

    types = named.input_types
    firsts = {tensor.shape[0] if tensor.rank else 0 for tensor in types.values()}
    is_batch = len(firsts) == 1 and all(first == 1 or isinstance(first, Size) for first in firsts)
    has_batch = by_sample or is_batch
    shapes = {
        name: tuple(size if isinstance(size, int) else None for size in tensor.shape[has_batch:])
        for name, tensor in types.items()
    }
    return Ports(shapes, {name: tensor.dtype.numpy for name, tensor in types.items()}, has_batch)
