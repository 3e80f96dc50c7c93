"""Linear layers over features in a function: products with a matrix, and the bias behind them."""

from dataclasses import dataclass

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.map import Map


@dataclass(frozen=True)
class Linear:
    """A linear layer with constants.

    Members:
        product: its equation.
        labels: of the equation that ends it.
        weight: (inputs, outputs), or the reverse: by the axis that the product sums.
        bias: (outputs,); None without.
        repeated: the equation that repeats the bias for all tokens.
    """

    product: Equation
    labels: tuple[str, ...]
    weight: Array
    bias: Array | None = None
    repeated: Equation | None = None

    @property
    def axis(self) -> int:
        """The axis of the weights that are outputs."""
        operator = self.product.operator
        assert isinstance(operator, Dot)
        return 1 - operator.contract_b[0]


def linear_of(function: Function, equation: Equation) -> Linear | None:
    """The layer that an equation ends; None if it ends none, or has no constants."""
    product, repeated = equation, None
    if isinstance(equation.operator, Map) and equation.operator.function == "add":
        made = [each for value in equation.operands if (each := function.producers.get(value)) is not None]
        dots = [each for each in made if isinstance(each.operator, Dot)]
        given = [each for each in made if _bias(function, each) is not None]
        if len(dots) != 1 or len(given) != 1 or not is_read_once(function, dots[0].result):
            return None
        (product,), (repeated,) = dots, given
    operator = product.operator
    if not isinstance(operator, Dot) or operator.batch_a or len(operator.contract_b) != 1:
        return None
    weight = _constant(function, product.operands[1])
    is_last = operator.contract_a == (product.operands[0].type.rank - 1,)
    if weight is None or weight.ndim != 2 or not is_last:
        return None
    bias = None if repeated is None else _bias(function, repeated)
    return Linear(product, equation.labels, weight, bias, repeated)


def is_read_once(function: Function, value: Value) -> bool:
    """Whether one equation reads a value, and it is no result."""
    return value not in function.results and len(function.consumers.get(value, ())) == 1


def _bias(function: Function, repeated: Equation) -> Array | None:
    """A constant (outputs,), repeated along all other axes."""
    if not isinstance(repeated.operator, Broadcast):
        return None
    found, shape = _constant(function, repeated.operands[0]), repeated.operator.shape
    is_row = found is not None and found.ndim == 1 and repeated.operator.axes == (len(shape) - 1,)
    return found if is_row and found is not None and len(found) == shape[-1] else None


def _constant(function: Function, value: Value) -> Array | None:
    made = function.producers.get(value)
    return made.operator.value.array if made is not None and isinstance(made.operator, Constant) else None
