"""Random small networks of floats: operators, shapes, strides, odd numbers of channels, tails, residuals."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.graph import Graph, Node, verify
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.average_pool2d import AveragePool2d
from tilewright.compiler.ops.batch_norm import BatchNorm
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.global_average_pool import GlobalAveragePool
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.operator import Operator
from tilewright.compiler.ops.relu import Relu
from tilewright.compiler.ops.window import Window

MOST_CHANNELS = 21
MOST_PIXELS = 11


@dataclass
class Builder:
    """A network in the making; each method adds an operator behind `last`."""

    rng: np.random.Generator
    last: str = "x"
    types: dict[str, TensorType] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.types[self.last].shape

    def draw(self, low: int, high: int) -> int:
        """An integer, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def emit(self, operator: Operator, *inputs: str) -> str:
        self.last = f"v{len(self.nodes)}"
        self.types[self.last] = operator.infer(*(self.types[name] for name in inputs))
        self.nodes.append(Node(f"n{len(self.nodes)}", operator, inputs, self.last))
        return self.last

    def constant(self, value: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value.astype(np.float32)
        self.types[name] = TensorType(value.shape, DType.FLOAT32)
        return name

    def weights(self, *shape: int) -> tuple[str, str]:
        """Weights that keep the size of what they multiply, and a bias."""
        spread = 1.4 / np.sqrt(np.prod(shape[1:]))
        return self.constant(self.rng.normal(0, spread, shape)), self.constant(
            self.rng.normal(0, 0.3, shape[0])
        )

    def window(self, largest: int = 3) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
        """Kernel, strides and padding that fit the picture."""
        kernel = (self.draw(1, min(largest, self.shape[2])), self.draw(1, min(largest, self.shape[3])))
        strides = (self.draw(1, 2), self.draw(1, 2))
        pads = tuple(self.draw(0, kernel[axis % 2] - 1) for axis in range(4))
        return kernel, strides, (pads[0], pads[1], pads[2], pads[3])

    def conv(self) -> None:
        kernel, strides, pads = self.window()
        dilations = tuple(
            2 if size >= 2 * step - 1 and self.rng.random() < 0.2 else 1
            for size, step in zip(self.shape[2:], kernel, strict=True)
        )
        weights = self.weights(self.draw(1, MOST_CHANNELS), self.shape[1], *kernel)
        self.emit(Conv2d(strides, pads, (dilations[0], dilations[1])), self.last, *weights)

    def depthwise(self) -> None:
        kernel, strides, pads = self.window()
        channels = self.shape[1]
        operator = Conv2d(strides, pads, (1, 1), channels)
        self.emit(operator, self.last, *self.weights(channels, 1, *kernel))

    def residual(self) -> None:
        """A convolution that keeps the shape, and what it read added to it."""
        before, channels, size = self.last, self.shape[1], self.draw(0, 1)
        kernel = (2 * size + 1,) * 2
        operator = Conv2d(pads=(size, size, size, size))
        self.emit(operator, before, *self.weights(channels, channels, *kernel))
        if self.rng.random() < 0.3:
            self.activation()
        pair = (self.last, before) if self.rng.random() < 0.5 else (before, self.last)
        self.emit(Add(), *pair)

    def activation(self) -> None:
        self.emit(Relu() if self.rng.random() < 0.6 else Clip(0.0, 2.0), self.last)

    def norm(self) -> None:
        channels = self.shape[1]
        scale = self.constant(self.rng.uniform(0.5, 1.5, channels) * self.rng.choice([-1, 1], channels))
        self.emit(BatchNorm(), self.last, scale, self.constant(self.rng.normal(0, 0.3, channels)))

    def max_pool(self) -> None:
        self.emit(MaxPool2d(Window(*self.window())), self.last)

    def average_pool(self) -> None:
        self.emit(AveragePool2d(Window(*self.window()), bool(self.draw(0, 1))), self.last)

    def nothing(self) -> None:
        self.emit(Identity(), self.last)

    def tail(self) -> None:
        """Features of the picture, or the picture."""
        kind = self.draw(0, 3)
        if kind == 0:
            return
        if kind == 1:
            self.emit(GlobalAveragePool(), self.last)
        self.emit(Flatten(), self.last)
        for _ in range(self.draw(0, 2)):
            self.emit(Dense(), self.last, *self.weights(self.draw(1, MOST_CHANNELS), self.shape[1]))
            if self.rng.random() < 0.5:
                self.activation()


def random_network(rng: np.random.Generator, most_steps: int = 5) -> Graph:
    """A verified network of floats with input x, whose values stay near 1 for inputs near 1."""
    builder = Builder(rng)
    shape = (1, builder.draw(1, MOST_CHANNELS), builder.draw(1, MOST_PIXELS), builder.draw(1, MOST_PIXELS))
    x = TensorType(shape, DType.FLOAT32)
    builder.types["x"] = x
    steps = [builder.conv, builder.depthwise, builder.residual, builder.activation, builder.norm]
    steps += [builder.max_pool, builder.average_pool, builder.nothing]
    chances = np.array([6, 2, 3, 4, 2, 2, 1, 1])
    for step in rng.choice(len(steps), builder.draw(1, most_steps), p=chances / chances.sum()):
        steps[step]()
    builder.tail()
    if not builder.nodes[-1:]:
        builder.conv()
    graph = Graph("random", (("x", x),), tuple(builder.nodes), (builder.last,), builder.constants)
    verify(graph)
    return graph


def random_input(rng: np.random.Generator, graph: Graph, samples: int) -> dict[str, np.ndarray]:
    """Inputs for a network, normal with a mean off 0."""
    return {
        name: rng.normal(0.3, 1, (samples, *tensor.shape[1:])).astype(np.float32)
        for name, tensor in graph.inputs
    }


@st.composite
def networks(draw, most_steps: int = 5) -> Graph:
    """Random networks for hypothesis; they shrink to small seeds only."""
    return random_network(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), most_steps)
