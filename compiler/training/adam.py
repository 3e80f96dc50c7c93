"""The optimiser Adam with decoupled weight decay, in the IR (Kingma, Ba: 2015; Loshchilov, Hutter: 2019)."""

from dataclasses import dataclass
from typing import NamedTuple

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e


class Moments(NamedTuple):
    """Running means of a weight's gradient and of its square, of the weight's shape."""

    first: Value
    second: Value


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Steps of a size that the gradient's sign and steadiness decide, not its size.

    Members:
        first, second: what of the moments is kept in a step.
        epsilon: beside the root of the second moment.
        decay: of weights of two and more axes, in units of the rate.
    """

    first: float = 0.9
    second: float = 0.999
    epsilon: float = 1e-8
    decay: float = 0.0

    def step(
        self, b: Builder, weight: Value, gradient: Value, moments: Moments, rate: Value, number: Value
    ) -> tuple[Value, Moments]:
        """The weight and its moments behind a step.

        Args:
            weight, gradient: of one shape.
            rate: of learning, a scalar float32.
            number: of the step, from 1, a scalar float32: the moments start from 0, which is made up for.
        """
        first = self._kept(b, self.first, moments.first, gradient)
        second = self._kept(b, self.second, moments.second, e.square(b, gradient))
        mean, square = (
            e.div(b, moment, e.sub(b, 1.0, e.pow(b, kept, number)))
            for moment, kept in ((first, self.first), (second, self.second))
        )
        change = e.div(b, mean, e.add(b, e.sqrt(b, square), self.epsilon))
        if self.decay and weight.type.rank > 1:
            change = e.add(b, change, e.mul(b, weight, self.decay))
        return e.sub(b, weight, e.mul(b, rate, change)), Moments(first, second)

    def _kept(self, b: Builder, share: float, before: Value, now: Value) -> Value:
        return e.add(b, e.mul(b, before, share), e.mul(b, now, 1 - share))
