"""Random small networks of floats: operators, shapes, strides, odd numbers of channels, tails, residuals."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from tests.layers import BATCH

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir import build
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.norm import BatchNorm
from tilewright.compiler.ops.nn.pool import AveragePool, MaxPool

MOST_CHANNELS = 21
MOST_PIXELS = 11

Step = Operator | Callable[[build.Builder, Value], Value]


def conv2d(strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), groups=1) -> Convolution:
    """A convolution of feature maps; its operands are x, weight and bias."""
    return Convolution(strides, pads, dilations, groups)


def max_pool(kernel, strides=(1, 1), pads=(0, 0, 0, 0)) -> MaxPool:
    """The maximum in windows."""
    return MaxPool(kernel, strides, pads, (1, 1))


def average_pool(kernel, strides=(1, 1), pads=(0, 0, 0, 0), counted=False) -> AveragePool:
    """The mean in windows; `counted`: padding is elements of 0."""
    return AveragePool(kernel, strides, pads, (1, 1), pads if counted and any(pads) else None)


def relu(b: build.Builder, x: Value) -> Value:
    """max(x, 0)."""
    return e.relu(b, x)


def clip(low: float, high: float) -> Step:
    """min(max(x, low), high)."""
    return lambda b, x: e.minimum(b, e.maximum(b, x, low), high)


def flatten(b: build.Builder, x: Value) -> Value:
    """All axes but the batch as one."""
    return e.reshape(b, x, (x.type.shape[0], int(np.prod(sample(x)))))


def global_average(b: build.Builder, x: Value) -> Value:
    """The mean of each channel, (batch, channels, 1, 1)."""
    return e.mean(b, x, (2, 3), True)


def sample(x: Value) -> tuple[int, ...]:
    """Sizes behind the batch."""
    return tuple(int(size) for size in x.type.shape[1:])


@dataclass
class Builder:
    """A network in the making, of input x; each method adds an operator behind `last`."""

    rng: np.random.Generator
    shape: tuple[int, ...]
    b: build.Builder = field(default_factory=lambda: build.Builder("test"))
    count: int = 0

    def __post_init__(self) -> None:
        self.x = self.last = self.b.parameter("x", TensorType(DType.FLOAT32, (BATCH, *self.shape[1:])))

    @property
    def sample(self) -> tuple[int, ...]:
        return sample(self.last)

    def draw(self, low: int, high: int) -> int:
        """An integer, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def emit(self, step: Step, *operands: Value) -> Value:
        """An operator, or what a function builds, behind the last value if no operands are given."""
        operands = operands or (self.last,)
        with self.b.label(f"n{self.count}"):
            emitted = self.b.emit(step, *operands) if isinstance(step, Operator) else step(self.b, *operands)
        self.count += 1
        self.last = emitted
        return emitted

    def add(self, one: Value, other: Value) -> Value:
        return self.emit(lambda b, x: e.add(b, x, other), one)

    def constant(self, value: np.ndarray) -> Value:
        return self.b.constant(value.astype(np.float32))

    def weights(self, *shape: int) -> tuple[Value, Value]:
        """Weights that keep the size of what they multiply, and a bias."""
        spread = 1.4 / np.sqrt(np.prod(shape[1:]))
        weight = self.constant(self.rng.normal(0, spread, shape))
        return weight, self.constant(self.rng.normal(0, 0.3, shape[0]))

    def window(self, largest: int = 3):
        """Kernel, strides and padding that fit the feature map."""
        _, height, width = self.sample
        kernel = (self.draw(1, min(largest, height)), self.draw(1, min(largest, width)))
        strides = (self.draw(1, 2), self.draw(1, 2))
        return kernel, strides, tuple(self.draw(0, kernel[axis % 2] - 1) for axis in range(4))

    def conv(self) -> None:
        kernel, strides, pads = self.window()
        dilations = tuple(
            2 if size >= 2 * step - 1 and self.rng.random() < 0.2 else 1
            for size, step in zip(self.sample[1:], kernel, strict=True)
        )
        weights = self.weights(self.draw(1, MOST_CHANNELS), self.sample[0], *kernel)
        self.emit(conv2d(strides, pads, dilations), self.last, *weights)

    def depthwise(self) -> None:
        kernel, strides, pads = self.window()
        channels = self.sample[0]
        operator = conv2d(strides, pads, (1, 1), channels)
        self.emit(operator, self.last, *self.weights(channels, 1, *kernel))

    def residual(self) -> None:
        """A convolution that keeps the shape, and what it read added to it."""
        before, channels, size = self.last, self.sample[0], self.draw(0, 1)
        kernel = (2 * size + 1,) * 2
        operator = conv2d(pads=(size, size, size, size))
        self.emit(operator, before, *self.weights(channels, channels, *kernel))
        if self.rng.random() < 0.3:
            self.activation()
        self.add(*((self.last, before) if self.rng.random() < 0.5 else (before, self.last)))

    def activation(self) -> None:
        self.emit(relu if self.rng.random() < 0.6 else clip(0.0, 2.0))

    def norm(self) -> None:
        channels = self.sample[0]
        scale = self.constant(self.rng.uniform(0.5, 1.5, channels) * self.rng.choice([-1, 1], channels))
        bias = self.constant(self.rng.normal(0, 0.3, channels))
        mean, variance = self.constant(np.zeros(channels)), self.constant(np.ones(channels))
        self.emit(BatchNorm(0.0), self.last, scale, bias, mean, variance)

    def max_pool(self) -> None:
        self.emit(max_pool(*self.window()))

    def average_pool(self) -> None:
        self.emit(average_pool(*self.window(), counted=bool(self.draw(0, 1))))

    def tail(self) -> None:
        """Features of the map, or the map."""
        kind = self.draw(0, 3)
        if kind == 0:
            return
        if kind == 1:
            self.emit(global_average)
        self.emit(flatten)
        for _ in range(self.draw(0, 2)):
            self.emit(Dense(), self.last, *self.weights(self.draw(1, MOST_CHANNELS), self.sample[0]))
            if self.rng.random() < 0.5:
                self.activation()

    def network(self, *results: Value) -> NamedFunction:
        """The network with these results, or with the last value."""
        given = results or (self.last,)
        function = self.b.function(*given)
        verify(function)
        return NamedFunction(function, ("x",), tuple(f"y{k}" if k else "y" for k in range(len(given))))


def random_network(rng: np.random.Generator, most_steps: int = 5) -> NamedFunction:
    """A verified network of floats with input x, whose values stay near 1 for inputs near 1."""
    sizes = [int(n) for n in rng.integers(1, [MOST_CHANNELS + 1, MOST_PIXELS + 1, MOST_PIXELS + 1])]
    builder = Builder(rng, (1, *sizes))
    steps = [builder.conv, builder.depthwise, builder.residual, builder.activation, builder.norm]
    steps += [builder.max_pool, builder.average_pool]
    chances = np.array([6, 2, 3, 4, 2, 2, 1])
    for step in rng.choice(len(steps), builder.draw(1, most_steps), p=chances / chances.sum()):
        steps[step]()
    builder.tail()
    if builder.last == builder.x:
        builder.conv()
    return builder.network()


def random_input(rng: np.random.Generator, named: NamedFunction, samples: int) -> dict[str, np.ndarray]:
    """Inputs for a network, normal with a mean off 0."""
    shapes, _ = named.sample_shapes
    return {name: rng.normal(0.3, 1, (samples, *shape)).astype(np.float32) for name, shape in shapes.items()}


@st.composite
def networks(draw, most_steps: int = 5) -> NamedFunction:
    """Random networks for hypothesis; they shrink to small seeds only."""
    return random_network(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), most_steps)
