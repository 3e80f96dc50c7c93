"""Operators that ONNX defines by others: nodes become what their definition says."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import onnx

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError
from tilewright.compiler.frontend.onnx.node import Node
from tilewright.compiler.frontend.onnx.scope import REFUSED, Item, Scope


def exists(node: Node) -> bool:
    """Whether ONNX defines the operator by others."""
    schema = _schema(node)
    return schema is not None and (schema.has_function or schema.has_context_dependent_function)


def convert(node: Node) -> Sequence[Item]:
    """The results of a node by the definition of its operator.

    Raises:
        UnsupportedError: if it has none, or the definition needs what is not supported.
    """
    from tilewright.compiler.frontend.onnx import graph

    function = _function(node)
    if function is None:
        raise UnsupportedError("there is no such operator here")
    opsets = {
        ("" if each.domain == "ai.onnx" else each.domain): each.version for each in function.opset_import
    }
    items = {
        name: node.item(index) if node.has(index) else Item(elements=())
        for index, name in enumerate(function.input)
    }
    scope = Scope(None, items)
    problems = graph.Problems()
    graph.convert(_resolved(function, node), scope, node.b, {**node.opsets, **opsets}, problems)
    if problems.lines:
        raise graph.as_error(problems, "its definition")
    names = function.output[: node.outputs]
    return [scope.find(name) if node.wants(index) else REFUSED for index, name in enumerate(names)]


def _schema(node: Node) -> Any:
    try:
        return onnx.defs.get_schema(node.proto.op_type, node.opset, node.proto.domain)
    except onnx.defs.SchemaError:
        return None


def _function(node: Node) -> Any:
    schema = _schema(node)
    if schema is None:
        return None
    function = onnx.FunctionProto()
    if schema.has_function:
        function.ParseFromString(_plain(node.proto.op_type, node.opset, node.proto.domain))
        return function
    if schema.has_context_dependent_function:
        return _by_types(node, schema)
    return None


@lru_cache(maxsize=256)
def _plain(operator: str, opset: int, domain: str) -> bytes:
    schema: Any = onnx.defs.get_schema(operator, opset, domain)
    versions = [version for version in schema.function_opset_versions if version <= opset]
    version = max(versions or schema.function_opset_versions)
    return bytes(schema.get_function_with_opset_version(version))


def _by_types(node: Node, schema: Any) -> Any:
    versions = schema.context_dependent_function_opset_versions
    version = max([each for each in versions if each <= node.opset] or versions)
    types = [_type(node, index).SerializeToString() for index in range(len(node.proto.input))]
    try:
        data = schema.get_context_dependent_function_with_opset_version(
            version, node.proto.SerializeToString(), types
        )
    except (RuntimeError, ValueError, onnx.defs.SchemaError):
        return None
    if not data:
        return None
    function = onnx.FunctionProto()
    function.ParseFromString(data)
    return function


def _type(node: Node, index: int) -> Any:
    if not node.has(index):
        return onnx.TypeProto()
    tensor = node.type(index)
    number = onnx.helper.np_dtype_to_tensor_dtype(DType(tensor.dtype).numpy)
    shape = [size if isinstance(size, int) else str(size) for size in tensor.shape]
    return onnx.helper.make_tensor_type_proto(number, shape)


def _resolved(function: Any, node: Node) -> Any:
    """The function as a graph, with the node's attributes where it refers to its own."""
    graph = onnx.GraphProto()
    given = {each.name: each for each in function.attribute_proto}
    defaults = [each.default_value for each in _schema(node).attributes.values()]
    given.update({each.name: each for each in defaults if each.name})
    given.update(node.attributes)
    absent = {name for name, value in zip(function.input, node.proto.input, strict=False) if not value}
    absent.update(function.input[len(node.proto.input) :])
    for proto in function.node:
        graph.node.append(proto)
    _resolve(graph, given, absent)
    return graph


def _resolve(graph: Any, given: dict[str, Any], absent: set[str]) -> None:
    for proto in graph.node:
        for index, name in enumerate(proto.input):
            if name in absent:
                proto.input[index] = ""
        attributes = list(proto.attribute)
        del proto.attribute[:]
        for attribute in attributes:
            if not attribute.ref_attr_name:
                proto.attribute.append(attribute)
            elif attribute.ref_attr_name in given:
                proto.attribute.append(given[attribute.ref_attr_name])
                proto.attribute[-1].name = attribute.name
        for attribute in proto.attribute:
            if attribute.HasField("g"):
                _resolve(attribute.g, given, absent)
