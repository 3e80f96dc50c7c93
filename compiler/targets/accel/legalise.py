"""Integer graphs in which every operator is one that the machine does as a unit."""

from dataclasses import replace
from math import prod

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.ops.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.window import Window
from tilewright.isa.config import Config


def legalise(graph: Graph, config: Config) -> Graph:
    """The same network without poolings that cannot follow their convolution on the chip.

    A maximum pooling behind a convolution is a loop of the instruction that requantises; where its windows
    are padded, or hold more sums than a bank, it becomes an operator of its own. Requantisation is monotone,
    so that both are equal.
    """
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.operator, Dequantise):
            nodes += _behind_a_layer(graph, node)
        else:
            nodes += _apart(node) if _must_part(node, config) else [node]
    return replace(graph, nodes=tuple(nodes))


def _behind_a_layer(graph: Graph, node: Node) -> list[Node]:
    """A dequantisation of what a layer made: results are not handed back without having been on the chip."""
    producer = graph.producers.get(node.inputs[0])
    if producer is None or not isinstance(producer.operator, Quantise):
        return [node]
    copied = f"{node.output}:copied"
    copy = Node(f"{node.name}:copy", QMaxPool2d(Window((1, 1))), node.inputs, copied)
    return [copy, replace(node, inputs=(copied,))]


def _must_part(node: Node, config: Config) -> bool:
    operator = node.operator
    if not isinstance(operator, QConv2d) or operator.pool is None:
        return False
    too_large = prod(operator.pool.kernel) > config.accumulator_vectors
    return any(operator.pool.pads) or too_large or operator.groups > 1 or operator.residual


def _apart(node: Node) -> list[Node]:
    operator = node.operator
    assert isinstance(operator, QConv2d), "only convolutions hold poolings"
    assert operator.pool is not None, "only convolutions with a pooling are parted"
    between = f"{node.output}:unpooled"
    alone = replace(node, operator=replace(operator, pool=None), output=between)
    pooling = QMaxPool2d(operator.pool)
    return [alone, Node(f"{node.name}:pool", pooling, (between,), node.output)]
