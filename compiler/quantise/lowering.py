"""From a graph of floats with quantise and dequantise nodes to a graph of integers.

Each quantise node ends an island: an operator on quantised values and what clamps or pools its result. An
island becomes one integer operator.
"""

from collections.abc import Callable

from tilewright.compiler.graph.graph import Graph, Node, verify
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.global_average_pool import GlobalAveragePool
from tilewright.compiler.ops.operator import Operator, OperatorError
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.quantise.error import IslandError, QuantiseError
from tilewright.compiler.quantise.island import Island, trace
from tilewright.compiler.quantise.lower_linear import lower_linear
from tilewright.compiler.quantise.lower_pointwise import lower_add, lower_average, lower_passed
from tilewright.compiler.quantise.parameter import Parameters
from tilewright.compiler.quantise.value import Draft, Integer

Lower = Callable[[Draft, Node, Island, Parameters, str], Integer]

_LOWER: dict[type[Operator], Lower] = {
    Conv2d: lower_linear,
    Dense: lower_linear,
    Add: lower_add,
    AveragePool2d: lower_average,
    GlobalAveragePool: lower_average,
}


def lower(graph: Graph) -> Graph:
    """The graph of integers: quantise nodes at the inputs, dequantise nodes at the outputs, no float between.

    Raises:
        QuantiseError: naming every node that cannot be taken.
    """
    draft, problems = Draft(graph), []
    for node in graph.nodes:
        if isinstance(node.operator, Quantise) and (problem := _lower_island(draft, node)):
            problems.append(problem)
    for name in graph.outputs:
        if problem := _finish(draft, name):
            problems.append(problem)
    if problems:
        raise QuantiseError(f"{graph.name!r} cannot be quantised: {'; '.join(dict.fromkeys(problems))}")
    result = draft.graph()
    verify(result)
    return result


def _lower_island(draft: Draft, end: Node) -> str | None:
    """Adds an island; the reason, if it cannot be taken and what it reads can."""
    assert isinstance(end.operator, Quantise)
    parameters = Parameters(end.operator.scale, end.operator.zero_point)
    where = f"{end.operator.name} {end.name!r}"
    try:
        island = trace(draft.source, end.inputs[0])
        if island.node is not None:
            where = f"{island.node.operator.name} {island.node.name!r}"
        draft.integers[end.output] = _lowered(draft, end, island, parameters)
    except (IslandError, OperatorError) as error:
        return f"{where}: {error}"
    except KeyError:
        # It reads what another message is about.
        return None
    return None


def _lowered(draft: Draft, end: Node, island: Island, parameters: Parameters) -> Integer:
    node = island.node
    if node is not None:
        if type(node.operator) not in _LOWER:
            raise IslandError(f"{node.operator.name} must not lie between quantised values")
        return _LOWER[type(node.operator)](draft, node, island, parameters, end.output)
    if island.core in dict(draft.source.inputs):
        shape = draft.source.types[island.core].shape
        x = Integer(island.core, shape, parameters, given=parameters)
    else:
        x = draft.operand(island.core)
    return lower_passed(draft, x, island, parameters, end)


def _finish(draft: Draft, name: str) -> str | None:
    try:
        draft.finish(name)
    except (IslandError, OperatorError) as error:
        return f"output {name!r}: {error}"
    except KeyError:
        return None
    return None
