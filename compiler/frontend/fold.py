"""Nodes whose result is known: computed now, as most shapes are."""

from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from tilewright.compiler.frontend.draft import Draft
from tilewright.compiler.frontend.error import UnsupportedError
from tilewright.compiler.frontend.model import one_line
from tilewright.compiler.frontend.node import OnnxNode

_KEPT = ("DequantizeLinear",)
"""Integers with a scale stay integers."""


def fold(node: OnnxNode, draft: Draft) -> bool:
    """Computes the results of a node that depends on constants or shapes alone; says whether it was one."""
    if node.operator == "Shape" and node.input(0) in draft.types:
        draft.fixed[node.outputs[0]] = _shape(node, draft)
        return True
    known = all(not name or name in draft.fixed for name in node.inputs)
    if not known or node.operator in _KEPT or _is_random(node):
        return False
    inputs = {name: draft.fixed[name] for name in node.inputs if name}
    draft.fixed.update(zip(node.outputs, _evaluate(node.proto, inputs, draft.opset), strict=False))
    return True


def _shape(node: OnnxNode, draft: Draft) -> Any:
    sizes = np.array(draft.types[node.input(0)].shape, np.int64)
    end = node.attributes.get("end")
    return sizes[node.integer("start", 0) : end]


def _is_random(node: OnnxNode) -> bool:
    return node.operator.startswith(("Random", "Bernoulli", "Multinomial", "If", "Loop", "Scan")) or (
        "." in node.operator
    )


def _evaluate(proto: Any, inputs: dict[str, Any], opset: int) -> list[Any]:
    graph = onnx.helper.make_graph(
        [proto],
        "constant",
        [onnx.helper.make_empty_tensor_value_info(name) for name in inputs],
        [onnx.helper.make_empty_tensor_value_info(name) for name in proto.output if name],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, inputs)]
    except (ArithmeticError, LookupError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise UnsupportedError(f"its constant result cannot be computed: {one_line(error)}") from error
