"""Float graphs in the form that quantisation starts from: no identities, no batch norms."""

from dataclasses import replace

import numpy as np

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.batch_norm import BatchNorm
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.ops.reshape import Reshape


def canonicalise(graph: Graph) -> Graph:
    """The same network; each batch norm is part of a convolution or dense layer, or one itself."""
    return _fold_batch_norms(_drop_identities(graph))


def _drop_identities(graph: Graph) -> Graph:
    """Without the identities that give no output its name."""
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if isinstance(node.operator, Identity) and node.output not in graph.outputs:
            renamed[node.output] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(nodes))


def _fold_batch_norms(graph: Graph) -> Graph:
    nodes: dict[str, Node] = {}
    constants = dict(graph.constants)
    for node in graph.nodes:
        if not isinstance(node.operator, BatchNorm):
            nodes[node.output] = node
            continue
        before = nodes.get(node.inputs[0])
        scale, shift = (constants[name] for name in node.inputs[1:])
        if before is not None and _can_take(graph, constants, before, scale):
            del nodes[before.output]
            nodes[node.output] = _folded(before, node, scale, shift, constants)
        else:
            for each in _as_convolution(graph, node, scale, shift, constants):
                nodes[each.output] = each
    return replace(graph, nodes=tuple(nodes.values()), constants=constants)


def _can_take(graph: Graph, constants: dict[str, Array], node: Node, scale: Array) -> bool:
    """Whether the node's weights can hold a factor, or need not, and nobody else reads its result."""
    if not isinstance(node.operator, Conv2d | Dense) or node.output in graph.outputs:
        return False
    weights_are_known = node.inputs[1] in constants or bool((scale == 1).all())
    return weights_are_known and node.inputs[2] in constants and len(graph.consumers[node.output]) == 1


def _folded(before: Node, norm: Node, scale: Array, shift: Array, constants: dict[str, Array]) -> Node:
    x, weight, bias = before.inputs
    if not (scale == 1).all():
        along = scale.reshape(-1, *(1 for _ in constants[weight].shape[1:]))
        constants[f"{norm.output}.weight"] = constants[weight] * along
        weight = f"{norm.output}.weight"
    constants[f"{norm.output}.bias"] = constants[bias] * scale + shift
    return replace(before, inputs=(x, weight, f"{norm.output}.bias"), output=norm.output)


def _as_convolution(
    graph: Graph, node: Node, scale: Array, shift: Array, constants: dict[str, Array]
) -> list[Node]:
    """The norm as a depthwise convolution of 1 × 1; features without a picture become one of a pixel."""
    weight, bias = f"{node.output}.weight", f"{node.output}.bias"
    channels = len(scale)
    constants[weight], constants[bias] = scale.reshape(-1, 1, 1, 1).astype(np.float32), shift
    operator = Conv2d(groups=channels)
    shape = graph.types[node.output].shape
    if len(shape) == 4:
        return [Node(node.name, operator, (node.inputs[0], weight, bias), node.output)]
    picture, result = f"{node.output}.picture", f"{node.output}.convolved"
    return [
        Node(picture, Reshape((1, channels, 1, int(np.prod(shape[2:])))), node.inputs[:1], picture),
        Node(node.name, operator, (picture, weight, bias), result),
        Node(node.output, Flatten() if len(shape) == 2 else Reshape(shape), (result,), node.output),
    ]
