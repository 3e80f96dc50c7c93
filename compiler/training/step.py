"""A step of training as one function: loss, gradients, and new weights."""

from collections.abc import Sequence

from tilewright.compiler.derivative.activity import flattened
from tilewright.compiler.derivative.pullback import gradient
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.training.adam import Adam, Moments
from tilewright.compiler.training.loss import Loss, target_type
from tilewright.compiler.training.optimiser import Optimiser
from tilewright.compiler.training.weight import WeightedFunction

_SCALAR = TensorType(DType.FLOAT32, ())


def loss_of(network: WeightedFunction, loss: Loss) -> Function:
    """The loss: of inputs, target and weights, in this order.

    The network's first result is what is trained.
    """
    b, function = Builder(f"{network.function.name}.loss"), network.function
    inputs = [b.parameter(value.name, value.type) for value in network.inputs]
    target = b.parameter("target", target_type(loss, function.result_types[0]))
    weights = [b.parameter(value.name, value.type) for value in function.parameters[len(inputs) :]]
    result, *_ = inline(b, function, [*inputs, *weights])
    return b.function(loss(b, result, target))


def training_step(network: WeightedFunction, loss: Loss, optimiser: Adam) -> Function:
    """One step: of inputs, target, rate, number, weights, first moments and second moments.

    It returns the loss before the step, and new weights, first moments and second moments.

    Raises:
        IrError: naming operators without a derivative.
    """
    return step_of(
        loss_of(network, loss), [optimiser] * len(network.weights), f"{network.function.name}.step"
    )


def step_of(loss: Function, optimisers: Sequence[Optimiser], name: str) -> Function:
    """One step, as of `training_step`, of any loss.

    Args:
        loss: of which the only result is a scalar; its last parameters are weights.
        optimisers: one a weight.
        name: of the step.

    Raises:
        IrError: naming operators without a derivative.
    """
    of = flattened(loss)
    kept = len(of.parameters) - len(optimisers)
    backward = gradient(of, range(kept, len(of.parameters)))
    b = Builder(name)
    given = [b.parameter(value.name, value.type) for value in of.parameters[:kept]]
    rate, number = b.parameter("rate", _SCALAR), b.parameter("number", _SCALAR)
    weights, firsts, seconds = (
        [b.parameter(f"{prefix}{value.name}", value.type) for value in of.parameters[kept:]]
        for prefix in ("", "first_", "second_")
    )
    (value,) = inline(b, of, [*given, *weights])
    gradients = inline(b, backward, [*given, *weights])
    steps = [
        optimiser.step(b, weight, gradient, Moments(first, second), rate, number)
        for optimiser, weight, gradient, first, second in zip(
            optimisers, weights, gradients, firsts, seconds, strict=True
        )
    ]
    moments = [moments for _, moments in steps]
    return b.function(value, *_columns([weight for weight, _ in steps], moments))


def _columns(weights: list[Value], moments: list[Moments]) -> tuple[Value, ...]:
    return (*weights, *(each.first for each in moments), *(each.second for each in moments))
