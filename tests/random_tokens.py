"""Random small ONNX networks over tokens: (batch, tokens, features), and more axes, with features last."""

from dataclasses import dataclass

import numpy as np
from tests.onnx_network import OnnxNetwork

MOST_FEATURES = 37
MOST_TOKENS = 9
HEADS = (1, 2, 3)
LANES = 4
"""Of the smallest machine."""


@dataclass
class Drawer:
    """A network in the making.

    Members:
        rng: what it is drawn from.
        network: so far.
        sizes: of the last value, behind the batch.
        last: the value that the next operator reads.
        earlier: values by their sizes.
    """

    rng: np.random.Generator
    network: OnnxNetwork
    sizes: tuple[int, ...]
    last: str
    earlier: dict[tuple[int, ...], list[str]]

    def draw(self, low, high):
        """An integer, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def emit(self, kind, sizes, *inputs, **attributes):
        """An operator on the last value."""
        self.last = self.network.add(kind, self.last, *inputs, **attributes)
        self.sizes = sizes
        self.earlier.setdefault(sizes, []).append(self.last)

    def linear(self):
        features, outputs = self.sizes[-1], self.draw(1, MOST_FEATURES)
        self.product(outputs, 1.2 / np.sqrt(features))
        if self.draw(0, 3):
            self.emit("Add", self.sizes, self.rng.normal(0, 0.3, outputs))
        if not self.draw(0, 3):
            self.emit("Mul", self.sizes, self.rng.uniform(0.5, 1.5, outputs))

    def product(self, outputs, spread):
        weight = self.rng.normal(0, spread, (self.sizes[-1], outputs))
        self.emit("MatMul", (*self.sizes[:-1], outputs), weight)

    def residual(self):
        """Another value of the same sizes is added, if need be what a product makes of the last one."""
        others = [each for each in self.earlier[self.sizes] if each != self.last]
        if not others:
            others = [self.last]
            self.product(self.sizes[-1], 1.2 / np.sqrt(self.sizes[-1]))
        other = others[self.draw(0, len(others) - 1)]
        self.emit("Add", self.sizes, other)

    def activation(self):
        kind = ("Relu", "Gelu", "Tanh", "Sigmoid")[self.draw(0, 3)]
        self.emit(kind, self.sizes)

    def limit(self):
        self.emit("Clip", self.sizes, -0.6, 1.3)

    def rows(self):
        """Tokens as rows and columns, or back."""
        *tokens, features = self.sizes
        if len(tokens) > 1:
            self.reshape((int(np.prod(tokens)), features))
        else:
            rows = next(each for each in (3, 2, 1) if tokens[0] % each == 0)
            self.reshape((rows, tokens[0] // rows, features))

    def heads(self):
        """Features in heads, these before tokens; together again, if a product follows."""
        self.linear()
        tokens, features = int(np.prod(self.sizes[:-1])), self.sizes[-1]
        heads = next(each for each in reversed(HEADS) if features % each == 0)
        self.reshape((tokens, heads, features // heads))
        self.transpose((1, 0, 2))
        if self.draw(0, 1):
            self.transpose((1, 0, 2))
            self.reshape((tokens, features))
            self.linear()

    def attention(self):
        """Products of activations: queries with keys, limited, then with values; heads together again.

        Between both, the machine needs tokens in whole blocks; else one of the products has an input.
        """
        start, (tokens, _) = self.last, self.sizes
        heads, size = self.draw(1, 3), self.draw(1, 9)
        queries, keys, values = (
            self.head(start, heads, size, order) for order in ((1, 0, 2), (1, 2, 0), (1, 0, 2))
        )
        self.last, self.sizes = queries, (heads, tokens, size)
        is_given = tokens % LANES > 0 and self.draw(0, 1)
        if is_given:
            self.network.inputs["p"] = (1, heads, tokens, tokens)
            self.last = "p"
        else:
            self.emit("MatMul", (heads, tokens, tokens), keys)
            self.emit("Mul", self.sizes, size**-0.5 / tokens)
            if self.draw(0, 1):
                self.emit("Relu", self.sizes)
        if tokens % LANES and not is_given:
            return
        self.emit("MatMul", (heads, tokens, size), values)
        if self.draw(0, 2):
            self.transpose((1, 0, 2))
            self.reshape((tokens, heads * size))
            self.linear()

    def head(self, x, heads, size, order):
        """What a product with weights makes of x, heads in front."""
        self.last, self.sizes = x, self.earlier_sizes(x)
        tokens, features = self.sizes
        self.product(heads * size, 1.2 / np.sqrt(features))
        self.emit("Add", self.sizes, self.rng.normal(0, 0.3, heads * size))
        self.reshape((tokens, heads, size))
        self.transpose(order)
        return self.last

    def earlier_sizes(self, x):
        """Of a value."""
        return next(sizes for sizes, names in self.earlier.items() if x in names)

    def reshape(self, sizes):
        self.emit("Reshape", sizes, np.array([0, *sizes]))

    def transpose(self, order):
        sizes = tuple(self.sizes[axis] for axis in order)
        self.emit("Transpose", sizes, perm=[0, *(axis + 1 for axis in order)])


KINDS = (
    Drawer.linear,
    Drawer.linear,
    Drawer.residual,
    Drawer.activation,
    Drawer.limit,
    Drawer.rows,
)


def random_token_model(rng):
    """A model from x, of tokens or of pictures whose patches are tokens, to one or two outputs."""
    is_picture = rng.random() < 0.3
    sizes = tuple(int(n) for n in rng.integers(1, [MOST_TOKENS + 1, MOST_FEATURES + 1]))
    if is_picture:
        sizes = (int(rng.integers(1, 5)), *(2 * int(n) for n in rng.integers(1, 4, 2)))
    drawer = Drawer(rng, OnnxNetwork({"x": (1, *sizes)}, opset=20), sizes, "x", {sizes: ["x"]})
    if is_picture:
        _patches(drawer)
    drawer.linear()
    middle = drawer.last
    for _ in range(drawer.draw(0, 4)):
        KINDS[drawer.draw(0, len(KINDS) - 1)](drawer)
    if len(drawer.sizes) == 2:
        (Drawer.heads, Drawer.attention, Drawer.linear)[drawer.draw(0, 2)](drawer)
    outputs = {middle: None} if rng.random() < 0.1 else {}
    return drawer.network.model(*(outputs | {drawer.last: None}))


def _patches(drawer):
    """Patches of 2 × 2 pixels as tokens."""
    channels, height, width = drawer.sizes
    outputs, tokens = drawer.draw(1, MOST_FEATURES), height * width // 4
    weight = drawer.rng.normal(0, 0.5, (outputs, channels, 2, 2))
    bias = drawer.rng.normal(0, 0.3, outputs)
    drawer.emit("Conv", (outputs, height // 2, width // 2), weight, bias, strides=[2, 2])
    drawer.reshape((outputs, tokens))
    drawer.transpose((1, 0))
