"""Networks of floats to networks of integers."""

from collections.abc import Mapping

from tilewright.compiler.graph.graph import Graph
from tilewright.compiler.ops.operator import Array
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.quantise.calibration import measure_ranges
from tilewright.compiler.quantise.canonical import canonicalise
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.quantise.fusion import fuse_pools
from tilewright.compiler.quantise.insertion import insert_quantisation
from tilewright.compiler.quantise.lowering import lower


def quantise(graph: Graph, calibration: Mapping[str, Array] | None = None) -> Graph:
    """The graph of integers that the accelerator runs: quantise nodes, integer operators, dequantise nodes.

    Args:
        graph: of floats; or with quantise and dequantise nodes, whose scales are then kept.
        calibration: inputs that are like those to come; only a graph without scales needs them.

    Raises:
        QuantiseError: naming all that cannot be quantised.
        GraphError: if the calibration data are not inputs of the graph.
    """
    canonical = canonicalise(graph)
    if not has_scales(graph):
        if calibration is None:
            raise QuantiseError(
                f"{graph.name!r} has no scales: give calibration data, some hundred typical inputs"
            )
        canonical = insert_quantisation(canonical, measure_ranges(canonical, calibration))
    return fuse_pools(lower(canonical))


def has_scales(graph: Graph) -> bool:
    """Whether a graph says itself how it is quantised."""
    return any(isinstance(node.operator, Quantise) for node in graph.nodes)
