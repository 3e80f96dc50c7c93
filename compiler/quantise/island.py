"""What lies between two quantised values: one operator, and clamps and a pooling behind it."""

from dataclasses import dataclass

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.operator import Operator
from tilewright.compiler.ops.relu import Relu
from tilewright.compiler.ops.reshape import Reshape
from tilewright.compiler.ops.window import Window
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.parameter import Parameters

VIEWS = (Flatten, Reshape, Identity)
"""Operators that change nothing but the shape."""


@dataclass(frozen=True)
class Island:
    """The way from quantised values to the next one.

    Members:
        core: the name of a dequantised value or an input of the graph, or of the result of `node`.
        node: the operator at the core, if it is one.
        clamps: activation functions behind it, first to last.
        pool: windows whose maximum is taken behind it: before or after the clamps is the same.
    """

    core: str
    node: Node | None
    clamps: tuple[Operator, ...]
    pool: Window | None

    def limits(self, parameters: Parameters) -> tuple[int, int]:
        """The least and the greatest integer that the clamps leave."""
        lo, hi = -128, 127
        for clamp in self.clamps:
            low, high = (0.0, float("inf")) if isinstance(clamp, Relu) else _bounds(clamp)
            least, most = parameters.quantised(low), parameters.quantised(high)
            lo, hi = min(max(lo, least), most), min(max(hi, least), most)
        return lo, hi


def trace(graph: Graph, name: str) -> Island:
    """The island that ends at a float value.

    Raises:
        IslandError: if more than one pooling lies behind the core.
    """
    clamps: list[Operator] = []
    pool: Window | None = None
    while (node := graph.producers.get(name)) is not None and not isinstance(node.operator, Dequantise):
        operator = node.operator
        if isinstance(operator, Relu | Clip):
            clamps.append(operator)
        elif isinstance(operator, MaxPool2d):
            require(pool is None, f"{node.name!r} is the second pooling without a quantised value between")
            pool = operator.window
        elif isinstance(operator, VIEWS):
            same = graph.types[name] == graph.types[node.inputs[0]]
            require(pool is None or same, f"{node.name!r} must not reshape what is pooled")
        else:
            break
        name = node.inputs[0]
    is_operator = node is not None and not isinstance(node.operator, Dequantise)
    return Island(name, node if is_operator else None, tuple(reversed(clamps)), pool)


def trace_view(graph: Graph, name: str) -> str:
    """The value of which a float value is a view."""
    while (node := graph.producers.get(name)) is not None and isinstance(node.operator, VIEWS):
        name = node.inputs[0]
    return name


def _bounds(clamp: Operator) -> tuple[float, float]:
    assert isinstance(clamp, Clip)
    return clamp.lo, clamp.hi
