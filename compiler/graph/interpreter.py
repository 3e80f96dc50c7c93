"""What a graph computes, in numpy, for any number of samples."""

from collections.abc import Iterable, Mapping

import numpy as np

from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.operator import Array
from tilewright.numerics.error import TilewrightError

_CHUNK_BYTES = 1 << 25
"""Of the largest value while a part of the samples is computed."""


def run(graph: Graph, inputs: Mapping[str, Array], keep: bool = False) -> dict[str, Array]:
    """The outputs of a graph, by name, for all samples along the first axis of the inputs.

    Args:
        graph: any verified graph.
        inputs: an array for each input, of its element type and, but for the first axis, its shape.
        keep: return every value but the constants, not the outputs alone.

    Raises:
        GraphError: if names, shapes or element types are wrong, or a value is NaN.
    """
    samples = check_inputs(graph, inputs)
    fixed = _constant_values(graph)
    names = list(_kept(graph)) if keep else list(dict.fromkeys(graph.outputs))
    parts = [
        _run_chunk(graph, {name: array[chunk] for name, array in inputs.items()}, fixed, names)
        for chunk in _chunks(graph, samples)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names} | {
        node.output: fixed[node.output] for node in graph.nodes if keep and node.output in fixed
    }


def check_inputs(graph: Graph, inputs: Mapping[str, Array]) -> int:
    """The number of samples.

    Raises:
        GraphError: if names, shapes or element types are wrong, or a value is NaN.
    """
    wanted = [name for name, _ in graph.inputs]
    if set(inputs) != set(wanted):
        raise GraphError(f"the inputs must be {_listed(wanted)}, not {_listed(inputs)}")
    for name, tensor in graph.inputs:
        array = inputs[name]
        if array.dtype != tensor.dtype.numpy:
            raise GraphError(f"input {name!r} must be {tensor.dtype}, not {array.dtype}")
        if array.shape[1:] != tensor.shape[1:] or array.ndim != len(tensor.shape):
            shape = ", ".join(["samples", *map(str, tensor.shape[1:])])
            raise GraphError(f"input {name!r} must have shape ({shape}), not {array.shape}")
        if tensor.dtype.is_float and np.isnan(array).any():
            raise GraphError(f"input {name!r} must hold numbers, but sample {_first_nan(array)} has a NaN")
    counts = {name: len(inputs[name]) for name in wanted}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        raise GraphError(f"all inputs must have the same number of samples, at least one, not {counts}")
    return next(iter(counts.values()), 1)


def _run_chunk(
    graph: Graph, inputs: Mapping[str, Array], fixed: Mapping[str, Array], names: Iterable[str]
) -> dict[str, Array]:
    values = {**fixed, **inputs}
    last_use = {name: node for node in graph.nodes for name in node.inputs}
    wanted = set(names)
    for node in graph.nodes:
        if node.output in fixed:
            continue
        values[node.output] = _run_node(node, values)
        for name in set(node.inputs) - wanted - fixed.keys():
            if last_use[name] is node:
                del values[name]
    return {name: values[name] for name in names}


def _run_node(node: Node, values: Mapping[str, Array]) -> Array:
    try:
        return node.operator.run(*(values[name] for name in node.inputs))
    except ValueError as error:
        raise TilewrightError(f"node {node.name!r} ({node.operator.name}): {error}") from error


def _constant_values(graph: Graph) -> dict[str, Array]:
    """The constants, and what nodes make of constants alone."""
    fixed = dict(graph.constants)
    for node in graph.nodes:
        if all(name in fixed for name in node.inputs):
            fixed[node.output] = _run_node(node, fixed)
    return fixed


def _kept(graph: Graph) -> Iterable[str]:
    fixed = set(graph.constants)
    yield from (name for name, _ in graph.inputs)
    for node in graph.nodes:
        if fixed.issuperset(node.inputs):
            fixed.add(node.output)
        else:
            yield node.output


def _chunks(graph: Graph, samples: int) -> list[slice]:
    live = [name for name in graph.types if name not in graph.constants]
    largest = max((graph.types[name].size * graph.types[name].dtype.size_bytes for name in live), default=1)
    step = max(1, _CHUNK_BYTES // (largest * 4))
    return [slice(start, start + step) for start in range(0, samples, step)]


def _first_nan(array: Array) -> int:
    return int(np.isnan(array).reshape(len(array), -1).any(axis=1).argmax())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
