"""Writes functions as ONNX models."""

from collections.abc import Sequence

import onnx
from onnx import helper, numpy_helper

import tilewright.compiler.frontend.export.layer
import tilewright.compiler.frontend.export.move
import tilewright.compiler.frontend.export.pointwise  # noqa: F401  # these register their rules
from tilewright.compiler.frontend.error import FrontendError, UnsupportedError
from tilewright.compiler.frontend.export.graph import RULES, GraphWriter, plain
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.type import TensorType

OPSET, IR_VERSION = 19, 9
"""The oldest that has all nodes that are written; from 21 on, ONNX Runtime 1.32 refuses what it made itself
of DequantizeLinear before Reshape."""


def write_onnx(named: NamedFunction) -> bytes:
    """The contents of an ONNX file that `load_onnx` reads as the same function.

    Nodes have the labels of their equations, inputs and outputs their names.

    Raises:
        FrontendError: naming all that cannot be written.
    """
    function = _written_by_rules(named.function)
    writer = GraphWriter(
        function,
        dict(zip(function.parameters, named.inputs, strict=True)),
        {*named.inputs, *named.outputs},
    )
    problems: dict[str, list[str]] = {}
    for equation in function.equations:
        try:
            _write(writer, equation)
        except UnsupportedError as error:
            problems.setdefault(str(error), []).append(f"{equation.operator.name} {equation.label!r}")
        except KeyError:
            # It reads what another message is about.
            continue
    if problems:
        listed = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in problems.items())
        raise FrontendError(f"{function.name!r} cannot be written as ONNX: {listed}")
    _name_outputs(writer, named.outputs)
    return bytes(_model(writer, named).SerializeToString())


def _written_by_rules(function: Function) -> Function:
    """The function with definitions in place of composites that have no rule."""
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    return pruned(b.function(*inline(b, function, parameters, _define)))


def _define(
    b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
) -> Sequence[Value]:
    if not isinstance(operator, Composite) or type(operator) in RULES:
        return emit(b, equation, operator, operands)
    with b.label(*equation.labels):
        return inline(b, operator.expanded(*(value.type for value in operands)), operands, _define)


def _write(writer: GraphWriter, equation: Equation) -> None:
    rule = RULES.get(type(equation.operator))
    if rule is None or len(equation.results) != 1:
        raise UnsupportedError("there is no such operator in ONNX, or no way to it")
    writer.names[equation.result] = rule(writer, equation)


def _name_outputs(writer: GraphWriter, outputs: Sequence[str]) -> None:
    """Nodes that give results their names; a result may be there twice, or be an input."""
    for value, name in zip(writer.function.results, outputs, strict=True):
        made = [node for node in writer.nodes if writer.names[value] in node.output]
        if not made or writer.names[value] in outputs:
            writer.nodes.append(helper.make_node("Identity", [writer.names[value]], [name]))
            continue
        before = writer.names[value]
        for node in writer.nodes:
            node.input[:] = [name if each == before else each for each in node.input]
            node.output[:] = [name if each == before else each for each in node.output]
        writer.names[value] = name


def _model(writer: GraphWriter, named: NamedFunction) -> onnx.ModelProto:
    inputs = [_port(*each) for each in named.input_types.items()]
    outputs = [_port(*each) for each in named.output_types.items()]
    read = {name for node in writer.nodes for name in node.input}
    tensors = [numpy_helper.from_array(each, name) for name, each in writer.tensors.items() if name in read]
    graph = helper.make_graph(writer.nodes, named.function.name, inputs, outputs, tensors)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tilewright",
    )
    onnx.checker.check_model(model)
    return model


def _port(name: str, tensor: TensorType) -> onnx.ValueInfoProto:
    element = helper.np_dtype_to_tensor_dtype(tensor.dtype.numpy)
    return helper.make_tensor_value_info(name, element, [plain(size) for size in tensor.shape])
