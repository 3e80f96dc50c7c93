"""Graphs as text; `parse_graph` reads it back."""

import json
import re
from dataclasses import fields

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Operator

PLAIN = r"[\w./-]+"
"""Names that need no quotes."""


def print_graph(graph: Graph) -> str:
    """One line for each input, constant, node and output; constants without their values."""
    lines = [f"graph {json.dumps(graph.name)}"]
    lines += [f"input {_value(name)}: {tensor}" for name, tensor in graph.inputs]
    lines += [f"constant {_value(name)}: {graph.types[name]}" for name in graph.constants]
    lines += [_node(node, graph.types[node.output]) for node in graph.nodes]
    lines += [f"output {_value(name)}" for name in graph.outputs]
    return "\n".join(lines) + "\n"


def attribute_text(operator: Operator) -> str:
    """The attributes as Python would be given them."""
    return ", ".join(f"{each.name}={getattr(operator, each.name)!r}" for each in fields(operator))


def _node(node: Node, tensor: TensorType) -> str:
    inputs = ", ".join(_value(name) for name in node.inputs)
    attributes = attribute_text(node.operator)
    attributes = f" {{{attributes}}}" if attributes else ""
    name = f" as {json.dumps(node.name)}" if node.name != node.output else ""
    return f"{_value(node.output)} = {node.operator.name}({inputs}){attributes}: {tensor}{name}"


def _value(name: str) -> str:
    return f"%{name}" if re.fullmatch(PLAIN, name) else f"%{json.dumps(name)}"
