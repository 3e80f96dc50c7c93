"""Models as modules of the IR."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import FrontendError, UnsupportedError, require
from tilewright.compiler.frontend.onnx import graph as graphs
from tilewright.compiler.frontend.onnx.element import port_dtype, read_sparse, read_tensor, widened
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.frontend.onnx.model import Source, opsets, read_model
from tilewright.compiler.frontend.onnx.scope import Item, RefusedError, Scope
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Module, Value
from tilewright.compiler.ir.named import size_options
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import AnySize, Size
from tilewright.compiler.ir.specialise import require_sizes
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e

_UNKNOWN = -1
"""What some exporters write as a size that is not known."""


def import_model(
    source: Source, known: Mapping[str, Array] | None = None, sizes: Mapping[str, int] | None = None
) -> Module:
    """The module of an ONNX model: `main` has the model's inputs and outputs, in their order and types.

    Symbolic sizes of inputs become sizes of that name; an unknown size gets a name of its own.

    Args:
        source: a path, the bytes of a file, or an onnx.ModelProto.
        known: elements of inputs by name, for models where shapes depend on them; what is passed when the
            module runs must be equal.
        sizes: numbers for symbolic sizes by name. Some models make sense for some numbers alone.

    Raises:
        IrError: for a size that no input has, or a number that is no size.
        UnknownInputsError: if all that is missing are elements of inputs.
        FrontendError: if the source cannot be read or is corrupt, or anything in it is not supported: all of
            that at once, with the names of the nodes.
    """
    model = read_model(source)
    found = _Import(dict(known or {}), dict(sizes or {}))
    b = Builder("main")
    scope = Scope()
    found.guard("graph", "constants", lambda: _constants(model.graph, scope))
    fixed = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in fixed:
            found.guard("input", value.name, lambda value=value: found.input(b, scope, value))  # type: ignore[misc]
    require_sizes(model.graph.name or "main", found.names, found.sizes)
    found.stop()
    graphs.convert(model.graph, scope, b, opsets(model), found.problems)
    found.stop()
    results: list[Value] = []
    for value in model.graph.output:
        found.guard("output", value.name, lambda value=value: results.append(_output(b, scope, value)))  # type: ignore[misc]
    found.stop()
    return Module.of(pruned(b.function(*results)))


@dataclass
class _Import:
    """What is collected while a model is imported."""

    known: dict[str, Array]
    sizes: dict[str, int]
    problems: graphs.Problems = field(default_factory=graphs.Problems)
    # Symbolic sizes of the inputs, each once.
    names: dict[str, None] = field(default_factory=dict)

    def guard(self, kind: str, name: str, work: Callable[[], object]) -> None:
        """Does something; what is wrong goes to the problems."""
        try:
            work()
        except RefusedError:
            pass
        except (UnsupportedError, IrError) as error:
            self.problems.add(kind, name, error)

    def stop(self) -> None:
        """Raises what was found so far."""
        if not self.problems.lines:
            return
        message = f"the model has {self.problems.count} parts that are not supported: {self.problems}"
        if self.problems.needed and self.problems.only_needs:
            raise UnknownInputsError(message, self.problems.needed)
        open_ones = [name for name in self.names if name not in self.sizes and name in message]
        remedy = f"; some may be for numbers alone: give {size_options(open_ones)}" if open_ones else ""
        raise FrontendError(message + remedy)

    def input(self, b: Builder, scope: Scope, proto: Any) -> None:
        """A parameter, and what is known of its elements."""
        require(proto.type.HasField("tensor_type"), "must be a tensor, not a sequence, map or optional")
        dtype = port_dtype(proto.type.tensor_type.elem_type, "it")
        shape = self._shape(b, proto)
        array = self.known.get(proto.name)
        if array is not None:
            array = np.asarray(array)
            fits = array.dtype == dtype.numpy and array.ndim == len(shape)
            require(
                fits, f"must be known as {TensorType(dtype, shape)}, not {array.dtype}{list(array.shape)}"
            )
            b.parameter(proto.name, TensorType(dtype, array.shape))
            scope.define(proto.name, Item(array=array.astype(widened(dtype).numpy)))
            return
        value = b.parameter(proto.name, TensorType(dtype, shape))
        inside = e.cast(b, value, widened(dtype)) if widened(dtype) is not dtype else value
        scope.define(proto.name, Item(inside, origins=frozenset([proto.name])))

    def _shape(self, b: Builder, proto: Any) -> tuple[AnySize, ...]:
        tensor = proto.type.tensor_type
        require(tensor.HasField("shape"), "must have a shape: its rank must be known")
        return tuple(self._size(b, proto.name, axis, dim) for axis, dim in enumerate(tensor.shape.dim))

    def _size(self, b: Builder, name: str, axis: int, dim: Any) -> AnySize:
        size = _size(b, name, axis, dim)
        if isinstance(size, int):
            return size
        self.names[str(size)] = None
        return self.sizes.get(str(size), size)


def _constants(graph: Any, scope: Scope) -> None:
    for tensor in graph.initializer:
        scope.define(tensor.name, Item(array=read_tensor(tensor)))
    for sparse in graph.sparse_initializer:
        scope.define(sparse.values.name, Item(array=read_sparse(sparse)))


def _size(b: Builder, name: str, axis: int, dim: Any) -> AnySize:
    if dim.HasField("dim_value") and dim.dim_value != _UNKNOWN:
        size = int(dim.dim_value)
        require(size >= 0, f"must have sizes from 0, or {_UNKNOWN} where they are not known, not {size}")
        return size
    text = dim.dim_param
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in text)
    # Exporters write "?" for sizes that they do not know, which need not be equal.
    if not any(c.isalnum() for c in text):
        return Size.of(b.size_name(f"{name}_{axis}".lstrip("0123456789_") or "size"))
    return Size.of(plain if not plain[0].isdigit() else f"size_{plain}")


def _output(b: Builder, scope: Scope, proto: Any) -> Value:
    require(proto.type.HasField("tensor_type") or not proto.type.WhichOneof("value"), "must be a tensor")
    value = scope.find(proto.name).emitted(b)
    number = proto.type.tensor_type.elem_type
    if number == onnx.TensorProto.UNDEFINED:
        return value
    dtype = port_dtype(number, "it")
    right = widened(dtype) is value.type.dtype
    require(right, f"must be {dtype} as declared, and is {value.type.dtype}")
    return e.cast(b, value, dtype) if dtype is DType.FLOAT16 else value
