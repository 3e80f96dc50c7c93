"""The graph while it is made of a model's nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.node import OnnxNode
from tilewright.compiler.graph.graph import Node, constant_type
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise_channels import DequantiseChannels
from tilewright.compiler.ops.operator import Array, Operator


@dataclass(frozen=True)
class Quantised:
    """A constant as integers: value · scale along an axis.

    Members:
        value: int8 or int32, symmetric.
        scale: float32, one, or one for each index of the axis.
        axis: of `value`.
    """

    value: Array
    scale: Array
    axis: int

    def real(self) -> Array:
        """The constant as float32."""
        along = [1] * self.value.ndim
        if self.scale.size > 1:
            along[self.axis] = -1
        result: Array = self.value.astype(np.float32) * self.scale.reshape(along)
        return result

    def transposed(self) -> "Quantised":
        """The matrix, its axes exchanged."""
        return Quantised(self.value.T, self.scale, 1 - self.axis)


@dataclass
class Draft:
    """What is known so far.

    Members:
        opset: the version of the operators.
        types: of activations, by name.
        fixed: constants, by name, used or not.
        quantised: constants that are integers with a scale.
        unsigned: activations that are uint8 in the model; in the graph they are int8, 128 less.
        nodes, constants: of the graph.
    """

    opset: int
    types: dict[str, TensorType] = field(default_factory=dict)
    fixed: dict[str, Array] = field(default_factory=dict)
    quantised: dict[str, Quantised] = field(default_factory=dict)
    unsigned: set[str] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def is_constant(self, name: str) -> bool:
        """Whether a value is known now."""
        return name in self.fixed or name in self.quantised

    def activation(self, name: str) -> TensorType:
        """The type of a value that depends on the input."""
        require(name in self.types, f"{name!r} must be computed from the input, not be a constant")
        return self.types[name]

    def constant(self, name: str) -> Array:
        """The value of a constant."""
        if name in self.quantised:
            return self.quantised[name].real()
        require(name in self.fixed, f"{name!r} must be a constant, not computed from the input")
        return self.fixed[name]

    def quantised_constant(self, name: str) -> Quantised | None:
        """A constant as integers, if it is one."""
        return self.quantised.get(name)

    def emit(self, node: OnnxNode, operator: Operator, inputs: Sequence[str], output: str = "") -> str:
        """Adds a node of the graph; returns the name of its result, that of the model's node by default."""
        result = output or node.outputs[0]
        taken = {each.name for each in self.nodes}
        name = node.name if not output and node.name not in taken else result
        types = [self._type(each) for each in inputs]
        self.types[result] = operator.infer(*types)
        self.nodes.append(Node(name, operator, tuple(inputs), result))
        return result

    def add_constant(self, name: str, value: Array) -> str:
        """A constant of the graph under this name, or a similar one; finite if they are floats."""
        if value.dtype.kind == "f":
            require(
                bool(np.isfinite(value).all()), f"weights must be finite, but {name!r} holds NaN or infinity"
            )
            value = value.astype(np.float32)
        name = self.fresh(name, value)
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def add_quantised(self, node: OnnxNode, name: str, constant: Quantised) -> str:
        """A constant of integers, and the node that makes floats of it; `axis` must be the first."""
        channels = constant.value.shape[0]
        require(
            constant.axis == 0 or constant.scale.size == 1,
            f"the scales of {name!r} must be one for each output channel, not along axis {constant.axis}",
        )
        scale = np.broadcast_to(constant.scale.reshape(-1), (channels,))
        value = self.add_constant(f"{name}.quantised", constant.value)
        factors = self.add_constant(f"{name}.scale", scale)
        return self.emit(node, DequantiseChannels(0), (value, factors), self.fresh(f"{name}.real"))

    def fresh(self, name: str, value: Array | None = None) -> str:
        """The name, or with a number behind it where something else has it."""
        candidate, number = name, 1
        while self._is_taken(candidate, value):
            candidate, number = f"{name}.{number}", number + 1
        return candidate

    def _is_taken(self, name: str, value: Array | None) -> bool:
        known = self.constants.get(name)
        if known is not None and value is not None:
            same = known.dtype == value.dtype and np.array_equal(known, value)
            return not same
        return known is not None or name in self.types

    def _type(self, name: str) -> TensorType:
        if name in self.constants:
            return constant_type(name, self.constants[name])
        if name not in self.types:
            raise UnsupportedError(f"{name!r} must be computed from the input, not be a constant")
        return self.types[name]
