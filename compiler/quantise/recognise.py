"""Recognises, in what an importer makes, the few float operators that quantisation knows.

They are: convolution and dense, with constant weights and a bias; sums of two activations; limits; poolings;
views; concatenations, parts, borders and channels in another order; any function of single elements; and
what quantises and dequantises activations by one scale. Batch norms, factors and offsets of channels become
part of a convolution or dense layer, or are a depthwise convolution themselves.
"""

import tilewright.compiler.quantise.recognise_shape  # noqa: F401  # registers its rules
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.named import NamedFunction, sample_shape
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.quantise.constant import Constants
from tilewright.compiler.quantise.error import GroupError, QuantiseError
from tilewright.compiler.quantise.recognise_pointwise import pointwise
from tilewright.compiler.quantise.recognition import RULES, Recognition, describe

BATCH = "batch"
"""The name of the size of every recognised function's first axes, unless its parameters have another one."""


def recognise(named: NamedFunction) -> NamedFunction:
    """The same function in operators that quantisation knows, on any number of samples.

    Args:
        named: parameters are float32; their first axis is the batch, 1 or symbolic, all other sizes are
            numbers.

    Raises:
        QuantiseError: naming everything that is not known.
    """
    function = named.function
    _check_parameters(named)
    batches = [value.type.shape[0] for value in function.parameters]
    names = list(dict.fromkeys(size.name for size in batches if isinstance(size, Size) and size.name))
    _check_batch(named, frozenset(names))
    try:
        source = specialise(function, dict.fromkeys(names, 1))
    except IrError as error:
        raise QuantiseError(f"{function.name!r} cannot be quantised: for one sample, {error}") from error
    batch = Size.of(names[0] if names else BATCH)
    r = Recognition(source, batch, Builder(function.name), Constants(source))
    for value in source.parameters:
        shape = (batch, *value.type.shape[1:])
        r.values[value] = r.b.parameter(value.name, TensorType(DType.FLOAT32, shape))
    problems: dict[str, list[str]] = {}
    for equation in source.equations:
        if r.is_moving(equation.results[0]):
            _recognise(r, equation, problems)
    _stop(named, problems)
    return named.with_function(pruned(r.b.function(*_results(r, named))))


def recognise_equation(r: Recognition, equation: Equation) -> None:
    """Adds an equation.

    Raises:
        GroupError, IrError: if it is not known, or has no meaning so.
        KeyError: if what it reads was refused.
    """
    if r.pointwise.is_inner(equation.results[0]):
        return
    known = pointwise if equation.results[0] in r.pointwise.tables else RULES.get(type(equation.operator))
    if known is None:
        raise GroupError("there is no such operator in integers")
    with r.b.label(*equation.labels):
        found = known(r, equation)
    if found is not None:
        r.values[equation.result] = found


def _recognise(r: Recognition, equation: Equation, problems: dict[str, list[str]]) -> None:
    """Adds an equation; what is wrong goes to the problems, unless it is only that its operands are."""
    try:
        recognise_equation(r, equation)
    except (GroupError, IrError) as error:
        if _is_read(r, equation):
            problems.setdefault(str(error), []).append(describe(equation))
    except KeyError:
        # It reads what another message is about.
        return


def _is_read(r: Recognition, equation: Equation) -> bool:
    """Whether all that an equation reads was recognised: else another message is about that."""
    return all(map(r.is_known, equation.operands))


def _results(r: Recognition, named: NamedFunction) -> list[Value]:
    results = []
    problems: dict[str, list[str]] = {}
    for name, value in zip(named.outputs, r.source.results, strict=True):
        try:
            if not value.type.dtype.is_float:
                raise GroupError(f"it must be float32, not {value.type.dtype}: end with DequantizeLinear")
            results.append(r.view(value))
        except (GroupError, KeyError) as error:
            problems.setdefault(str(error), []).append(f"output {name!r}")
    _stop(named, problems)
    return results


def _stop(named: NamedFunction, problems: dict[str, list[str]]) -> None:
    if problems:
        lines = (f"{', '.join(names)}: {reason}" for reason, names in problems.items())
        raise QuantiseError(f"{named.function.name!r} cannot be quantised: {'; '.join(lines)}")


def _check_batch(named: NamedFunction, names: frozenset[str]) -> None:
    """Refuses a function in which the batch is more, or less, than a whole first axis.

    Where no symbolic size tells, since the model fixes its batch at 1, what is recognised keeps it in front.
    """
    problems: dict[str, list[str]] = {}
    for equation in named.function.equations:
        for tensor in (value.type for value in equation.results):
            first, *others = tensor.shape or (1,)
            mixed = [size for size in others if isinstance(size, Size) and size.names & names]
            is_whole = not isinstance(first, Size) or not first.names & names or first.name is not None
            if mixed or not is_whole:
                reason = f"the batch must stay the first axis, whole, not become {tensor}"
                problems.setdefault(reason, []).append(describe(equation))
    _stop(named, problems)


def _check_parameters(named: NamedFunction) -> None:
    problems = [
        f"input {name!r} must be float32, not {tensor.dtype}"
        for name, tensor in named.input_types.items()
        if tensor.dtype is not DType.FLOAT32
    ]
    for name, tensor in named.input_types.items():
        try:
            sample_shape(f"input {name!r}", tensor)
        except IrError as error:
            problems.append(str(error))
    if problems:
        raise QuantiseError(f"{named.function.name!r} cannot be quantised: {'; '.join(problems)}")
