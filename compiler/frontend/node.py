"""A node of a model file, with its attributes as plain values."""

from dataclasses import dataclass
from typing import Any

import onnx

from tilewright.compiler.frontend.error import UnsupportedError, require


@dataclass(frozen=True)
class OnnxNode:
    """A node as the file has it.

    Members:
        operator: with the domain in front, unless it is the standard one.
        name: of the node, or of its first result if it has none.
        inputs, outputs: names of values; an absent optional one is "".
        attributes: numbers, strings, lists and arrays.
        proto: as read.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: Any

    @classmethod
    def of(cls, proto: Any) -> "OnnxNode":
        """The node of a NodeProto."""
        standard = proto.domain in ("", "ai.onnx")
        operator = proto.op_type if standard else f"{proto.domain}.{proto.op_type}"
        attributes = {each.name: _plain(each) for each in proto.attribute}
        name = proto.name or proto.output[0]
        return cls(operator, name, tuple(proto.input), tuple(proto.output), attributes, proto)

    def input(self, index: int) -> str:
        """The name of an input, or "" if it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        return float(self.attributes.get(name, default))

    def string(self, name: str, default: str) -> str:
        """A text attribute."""
        return str(self.attributes.get(name, default))

    def pair(self, name: str, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
        """An attribute of two integers, down and right."""
        values = tuple(int(value) for value in self.attributes.get(name, default))
        if len(values) != 2:
            raise UnsupportedError(f"{name} must be two numbers, for pictures, not {list(values)}")
        return values[0], values[1]

    def expect_integer(self, name: str, default: int, wanted: int) -> None:
        """Raises UnsupportedError unless the attribute has that value."""
        value = self.integer(name, default)
        require(value == wanted, f"{name} must be {wanted}, not {value}")


def _plain(attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if attribute.type == onnx.AttributeProto.TENSOR:
        return onnx.numpy_helper.to_array(value)
    return value
