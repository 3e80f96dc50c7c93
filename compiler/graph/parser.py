"""Graphs from their text."""

import ast
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.graph.graph import Graph, Node, verify
from tilewright.compiler.graph.printer import PLAIN
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, OperatorError
from tilewright.compiler.ops.registry import operators
from tilewright.compiler.ops.window import Window

_STRING = r'"(?:[^"\\]|\\.)*"'
_VALUE = rf"%(?:{PLAIN}|{_STRING})"
_TYPE = r"\w+\[[\d, ]*\]"
_TYPED = re.compile(rf"(input|constant) ({_VALUE}): ({_TYPE})")
_OUTPUT = re.compile(rf"output ({_VALUE})")
_GRAPH = re.compile(rf"graph ({_STRING})")
_NODE = re.compile(
    rf"(?P<output>{_VALUE}) = (?P<operator>\w+)\((?P<inputs>(?:{_VALUE}(?:, )?)*)\)"
    rf"(?: {{(?P<attributes>.*)}})?: (?P<type>{_TYPE})(?: as (?P<name>{_STRING}))?"
)


@dataclass
class _Draft:
    """What the lines read so far say."""

    name: str = ""
    inputs: list[tuple[str, TensorType]] = field(default_factory=list)
    constants: dict[str, TensorType] = field(default_factory=dict)
    nodes: list[tuple[Node, TensorType]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def parse_graph(text: str, constants: Mapping[str, Array]) -> Graph:
    """The graph that `print_graph` prints as that text.

    Args:
        text: lines; empty ones and those that begin with # are skipped.
        constants: at least the arrays that the text names.

    Raises:
        GraphError: with the line, if the text cannot be read; or what `verify` and the constants say.
    """
    draft = _Draft()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            _read_line(draft, stripped, number)
    graph = Graph(
        draft.name,
        tuple(draft.inputs),
        tuple(node for node, _ in draft.nodes),
        tuple(draft.outputs),
        _chosen(draft.constants, constants),
    )
    verify(graph)
    _check_types(draft, graph)
    return graph


def _read_line(draft: _Draft, line: str, number: int) -> None:
    try:
        if match := _NODE.fullmatch(line):
            draft.nodes.append((_node(match), _type(match["type"])))
        elif match := _TYPED.fullmatch(line):
            name, tensor = _name(match[2]), _type(match[3])
            if match[1] == "input":
                draft.inputs.append((name, tensor))
            else:
                draft.constants[name] = tensor
        elif match := _OUTPUT.fullmatch(line):
            draft.outputs.append(_name(match[1]))
        elif match := _GRAPH.fullmatch(line):
            draft.name = json.loads(match[1])
        else:
            raise GraphError(f"must be a graph, input, constant, node or output, not {line!r}")
    except (ValueError, SyntaxError) as error:
        raise GraphError(f"line {number}: {error}") from error


def _node(match: re.Match[str]) -> Node:
    output = _name(match["output"])
    inputs = tuple(_name(value) for value in re.findall(_VALUE, match["inputs"]))
    name = json.loads(match["name"]) if match["name"] else output
    return Node(name, _operator(match["operator"], match["attributes"] or ""), inputs, output)


def _operator(name: str, attributes: str) -> Operator:
    if name not in operators():
        raise GraphError(f"operator must be one of {', '.join(sorted(operators()))}, not {name}")
    call = ast.parse(f"_({attributes})", mode="eval").body
    if not isinstance(call, ast.Call) or call.args:
        raise GraphError(f"attributes must be name=value, not {attributes!r}")
    try:
        return operators()[name](**_keywords(call))
    except TypeError as error:
        raise GraphError(f"attributes of {name} must be those of its class: {error}") from error


def _keywords(call: ast.Call) -> dict[str, Any]:
    return {keyword.arg or "": _literal(keyword.value) for keyword in call.keywords}


def _literal(value: ast.expr) -> Any:
    """A number, a truth value, None, a tuple of such, or a window."""
    match value:
        case ast.Constant():
            return value.value
        case ast.Name(id="inf"):
            return math.inf
        case ast.UnaryOp(op=ast.USub()):
            return -_literal(value.operand)
        case ast.Tuple():
            return tuple(_literal(element) for element in value.elts)
        case ast.Call(func=ast.Name(id=Window.__name__)):
            return Window(**_keywords(value))
    raise OperatorError(f"an attribute must be a number, a tuple or a window, not {ast.unparse(value)}")


def _name(value: str) -> str:
    name: str = json.loads(value[1:]) if value.startswith('%"') else value[1:]
    return name


def _type(text: str) -> TensorType:
    dtype, _, sizes = text.rstrip("]").partition("[")
    return TensorType(tuple(int(size) for size in sizes.split(",") if size.strip()), DType(dtype))


def _chosen(types: Mapping[str, TensorType], constants: Mapping[str, Array]) -> dict[str, Array]:
    missing = [name for name in types if name not in constants]
    if missing:
        raise GraphError(f"the constants must hold {missing[0]!r}, which the text names")
    return {name: constants[name] for name in types}


def _check_types(draft: _Draft, graph: Graph) -> None:
    printed = draft.constants | {node.output: tensor for node, tensor in draft.nodes}
    for name, tensor in printed.items():
        if graph.types[name] != tensor:
            raise GraphError(f"{name!r} must be {graph.types[name]}, not {tensor} as the text says")
