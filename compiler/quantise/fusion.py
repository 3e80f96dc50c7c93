"""Maximum poolings of convolutions' results, fused into the convolutions."""

from dataclasses import replace

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.qconv2d import QConv2d
from tilewright.compiler.ops.qmax_pool2d import QMaxPool2d


def fuse_pools(graph: Graph) -> Graph:
    """Takes the maximum of sums where the maximum of their int8 results was taken.

    Exact: requantisation never decreases, and a clamp behind a clamp is one clamp.
    """
    fused: dict[str, Node] = {}
    for node in graph.nodes:
        before = fused.get(node.inputs[0])
        if before is not None and _can_fuse(graph, before, node):
            del fused[before.output]
            fused[node.output] = _joined(before, node)
        else:
            fused[node.output] = node
    return replace(graph, nodes=tuple(fused.values()))


def _can_fuse(graph: Graph, before: Node, node: Node) -> bool:
    single = before.output not in graph.outputs and len(graph.consumers[before.output]) == 1
    pair = isinstance(before.operator, QConv2d) and isinstance(node.operator, QMaxPool2d)
    return single and pair and isinstance(before.operator, QConv2d) and before.operator.pool is None


def _joined(before: Node, node: Node) -> Node:
    convolution, pool = before.operator, node.operator
    assert isinstance(convolution, QConv2d)
    assert isinstance(pool, QMaxPool2d)
    lo, hi = (min(max(limit, pool.lo), pool.hi) for limit in (convolution.lo, convolution.hi))
    window = None if pool.window.kernel == (1, 1) and pool.window.strides == (1, 1) else pool.window
    return replace(before, operator=replace(convolution, lo=lo, hi=hi, pool=window), output=node.output)
