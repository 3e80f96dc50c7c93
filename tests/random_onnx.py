"""Random small ONNX networks in which every operator stands behind every other one.

A network has a pair (first, second) of `KINDS` at its core: `second` reads `first` and, where first keeps the
shape, nobody else does, so that they may become one. What lies before and behind is drawn.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from tests.onnx_network import OnnxNetwork

MOST_CHANNELS = 19
MOST_PIXELS = 9
CLIPS = ((0.0, 2.0), (-0.37, 1.13), (0.21, 0.9), (-3.0, -0.11), (-0.5, 9.0), (-np.inf, 0.4), (0.3, np.inf))
FACTORS = (0.17, -0.6, 1.9, -1.0)


@dataclass
class Drawer:
    """A network in the making.

    Members:
        rng: what it is drawn from.
        network: so far.
        shapes: of its values.
        last: the value that the next operator reads.
        before: what was read to make it.
    """

    rng: np.random.Generator
    network: OnnxNetwork
    shapes: dict[str, tuple[int, ...]]
    last: str = "x"
    before: str = "x"

    @property
    def shape(self):
        return self.shapes[self.last]

    def draw(self, low, high):
        """An integer, both bounds included."""
        return int(self.rng.integers(low, high + 1))

    def emit(self, kind, shape, *inputs, **attributes):
        """An operator on the last value."""
        self.before, name = self.last, self.network.add(kind, self.last, *inputs, **attributes)
        self.shapes[name], self.last = shape, name

    def normal(self, spread, *shape):
        return self.rng.normal(0, spread, shape)

    def window(self, keeps, dilated=False):
        """Attributes of a window that fits, and the height and width behind it."""
        size = self.shape[2:]
        odd = [2 * self.draw(0, (min(3, side) - 1) // 2) + 1 for side in size]
        kernel = odd if keeps else [self.draw(1, min(3, side)) for side in size]
        steps = [self.draw(1, 2) if dilated else 1 for _ in size]
        reach = [(taps - 1) * step + 1 for taps, step in zip(kernel, steps, strict=True)]
        strides = [1 if keeps else self.draw(1, 2) for _ in size]
        if keeps:
            pads = [n // 2 for n in reach] * 2
        else:
            pads = [self.draw(0, taps - 1) for taps in (*kernel, *kernel)]
        free = [side + pads[k] + pads[k + len(size)] - reach[k] for k, side in enumerate(size)]
        if min(free) < 0:
            return self.window(keeps, dilated)
        behind = tuple(room // stride + 1 for room, stride in zip(free, strides, strict=True))
        attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        return attributes | ({"dilations": steps} if dilated else {}), behind

    # --- operators; `keeps`: the shape -------------------------------------------------------------------

    def convolution(self, keeps):
        attributes, behind = self.window(keeps, dilated=True)
        channels = self.shape[1]
        outputs = channels if keeps else self.draw(1, MOST_CHANNELS)
        groups = 1
        divisors = [each for each in range(2, channels) if channels % each == 0]
        if divisors and self.draw(0, 1):
            groups = divisors[self.draw(0, len(divisors) - 1)]
            outputs = channels if keeps else groups * self.draw(1, max(2, MOST_CHANNELS // groups))
        spread = 1.2 / np.sqrt(channels // groups * np.prod(attributes["kernel_shape"]))
        weight = self.normal(spread, outputs, channels // groups, *attributes["kernel_shape"])
        shape = (1, outputs, *behind)
        self.emit("Conv", shape, weight, self.normal(0.3, outputs), group=groups, **attributes)

    def depthwise(self, keeps):
        attributes, behind = self.window(keeps, dilated=True)
        channels, kernel = self.shape[1], attributes["kernel_shape"]
        weight = self.normal(0.8 / np.sqrt(np.prod(kernel)), channels, 1, *kernel)
        shape = (1, channels, *behind)
        self.emit("Conv", shape, weight, self.normal(0.3, channels), group=channels, **attributes)

    def max_pool(self, keeps):
        attributes, behind = self.window(keeps)
        self.emit("MaxPool", (*self.shape[:2], *behind), **attributes)

    def average_pool(self, keeps):
        attributes, behind = self.window(keeps)
        counted = self.draw(0, 1)
        self.emit("AveragePool", (*self.shape[:2], *behind), count_include_pad=counted, **attributes)

    def global_average(self, keeps):
        shape = self.shape
        if keeps and max(shape[2:]) > 1:
            self.average_pool(keeps)
        else:
            self.emit("GlobalAveragePool", (*shape[:2], *(1 for _ in shape[2:])))

    def norm(self, keeps):
        channels = self.shape[1]
        gamma = self.rng.uniform(0.2, 1.3, channels) * self.rng.choice([-1, 1], channels)
        further = (self.normal(0.3, channels), self.normal(0.3, channels), self.rng.uniform(0.5, 2, channels))
        self.emit("BatchNormalization", self.shape, gamma, *further)

    def relu(self, keeps):
        self.emit("Relu", self.shape)

    def clip(self, keeps):
        low, high = CLIPS[self.draw(0, len(CLIPS) - 1)]
        self.emit("Clip", self.shape, low, high)

    def factor(self, keeps):
        self.emit("Mul", self.shape, FACTORS[self.draw(0, len(FACTORS) - 1)])

    def shift(self, keeps):
        self.emit("Add", self.shape, self.normal(0.3, 1, self.shape[1], *(1 for _ in self.shape[2:])))

    def moved(self, keeps):
        """Elements in other places, or borders around them."""
        (self.joined, self.part, self.shuffle)[self.draw(0, 2)](keeps)

    def joined(self, keeps):
        """With another value, along any axis; or parts of it, in another order."""
        start, axis = self.last, self.draw(1, len(self.shape) - 1)
        size = self.shape[axis]
        if keeps or self.shape[axis] > MOST_PIXELS:
            at = self.draw(0, size - 1)
            ways = [
                self._part(start, axis, *bounds) for bounds in ((at, size), (0, at)) if len(range(*bounds))
            ]
        else:
            ways = [start, self._branch() if self.draw(0, 1) else start]
        ways = [ways[place] for place in self.rng.permutation(len(ways))]
        shape = list(self.shapes[start])
        shape[axis] = sum(self.shapes[way][axis] for way in ways)
        name = self.network.add("Concat", *ways, axis=axis)
        self.shapes[name], self.before, self.last = tuple(shape), start, name

    def _part(self, value, axis, start, stop, step=1):
        bounds = (np.array([number]) for number in (start, stop, axis, step))
        name, shape = self.network.add("Slice", value, *bounds), list(self.shapes[value])
        shape[axis] = len(range(start, stop, step))
        self.shapes[name] = tuple(shape)
        return name

    def part(self, keeps):
        """A border and what is left without one; or a part, along any axis."""
        axis = self.draw(1, len(self.shape) - 1)
        size = self.shape[axis]
        if keeps or self.draw(0, 1):
            borders = np.zeros((2, len(self.shape)), np.int64)
            borders[:, axis] = self.draw(0, 2), self.draw(0, 2)
            shape = list(self.shape)
            shape[axis] += int(borders.sum())
            value = (0.0, 0.0, 0.7, -2.0)[self.draw(0, 3)]
            self.emit("Pad", tuple(shape), borders.reshape(-1), value)
        if keeps:
            first = self.draw(0, self.shape[axis] - size)
            self.before, self.last = self.last, self._part(self.last, axis, first, first + size)
        elif size > 1:
            first = self.draw(0, size - 2)
            bounds = first, self.draw(first + 1, size), self.draw(1, 2)
            self.before, self.last = self.last, self._part(self.last, axis, *bounds)

    def shuffle(self, keeps):
        """Groups of channels in turns."""
        channels = self.shape[1]
        divisors = [each for each in range(1, channels + 1) if channels % each == 0]
        groups = divisors[self.draw(0, len(divisors) - 1)]
        shape, size = self.shape, self.shape[2:]
        self.emit("Reshape", (1, groups, channels // groups, *size), np.array([0, groups, -1, *size]))
        self.emit(
            "Transpose", (1, channels // groups, groups, *size), perm=[0, 2, 1, *range(3, 3 + len(size))]
        )
        self.emit("Reshape", shape, np.array([0, channels, *size]))

    def nothing(self, keeps):
        self.emit("Identity", self.shape)

    def residual(self, keeps):
        """What was read before is added: what lies between is fused, if it can be."""
        other = self.before if self.shapes[self.before] == self.shape else self._branch()
        self.emit_sum(self.last, other)

    def block(self, keeps):
        """The last value is read by a convolution, and added to what that makes."""
        start = self.last
        (self.convolution if self.draw(0, 1) else self.depthwise)(True)
        self.emit_sum(self.last, start)

    def branches(self, keeps):
        """Two ways from one value, then one."""
        start, ways = self.last, []
        for _ in range(2):
            self.last = start
            KINDS[SINGLE[self.draw(0, len(SINGLE) - 1)]](self, True)
            ways.append(self.last)
        self.emit_sum(*ways)

    def emit_sum(self, one, other):
        pair = (one, other) if self.draw(0, 1) else (other, one)
        name = self.network.add("Add", *pair)
        self.shapes[name], self.before, self.last = self.shapes[one], one, name

    def _branch(self):
        """Another value of the last one's shape, made of it."""
        start = self.last
        self.depthwise(True)
        found, self.last = self.last, start
        return found

    def tail(self):
        """Features, and dense layers behind them."""
        features = int(np.prod(self.shape[1:]))
        self.emit("Flatten", (1, features))
        for _ in range(self.draw(0, 2)):
            outputs, features = self.draw(1, MOST_CHANNELS), self.shape[1]
            weight = self.normal(1.2 / np.sqrt(features), features, outputs)
            alpha = (1.0, 1.0, -0.5)[self.draw(0, 2)]
            self.emit("Gemm", (1, outputs), weight, self.normal(0.3, outputs), alpha=alpha)
            if self.draw(0, 1):
                (self.relu if self.draw(0, 1) else self.clip)(True)


KINDS = {
    name: getattr(Drawer, name)
    for name in (
        "convolution",
        "depthwise",
        "max_pool",
        "average_pool",
        "global_average",
        "norm",
        "relu",
        "clip",
        "factor",
        "shift",
        "moved",
        "nothing",
        "residual",
        "block",
        "branches",
    )
}
"""By name: adds the operator, with a result of the shape of what it reads if it is asked to."""
SINGLE = tuple(KINDS)[:-3]
PAIRS = tuple(product(KINDS, KINDS))


def random_model(rng, pair=None, sequence=False):
    """A model from x (and sometimes z) to one or two outputs; values stay near 1 for inputs near 1.

    Args:
        rng: what it is drawn from.
        pair: of `KINDS`, at the core; drawn if it is not given.
        sequence: whether x has a length, not height and width.
    """
    first, second = pair or PAIRS[rng.integers(len(PAIRS))]
    shape = (1, *(int(n) for n in rng.integers(1, [MOST_CHANNELS, MOST_PIXELS, MOST_PIXELS])))
    shape = shape[:-1] if sequence else shape
    inputs = {"x": shape} | ({"z": shape} if rng.random() < 0.1 else {})
    drawer = Drawer(rng, OnnxNetwork(inputs, opset=17), {"x": shape})
    if "z" in inputs:
        drawer.emit_sum("x", drawer.network.add("Relu", "z"))
    for _ in range(drawer.draw(0, 1)):
        _some(drawer)
    keeps = second == "residual" or _may_keep(drawer, first)
    KINDS[first](drawer, keeps)
    middle = drawer.last
    KINDS[second](drawer, _may_keep(drawer, second))
    outputs = {middle: None} if rng.random() < 0.1 else {}
    for _ in range(drawer.draw(0, 2)):
        _some(drawer)
    if rng.random() < 0.3:
        drawer.tail()
    return drawer.network.model(*(outputs | {drawer.last: None}))


def _may_keep(drawer, kind):
    """Whether a shape shall be kept; the whole picture's average is another operator if it must be."""
    return kind != "global_average" and bool(drawer.draw(0, 1))


def _some(drawer):
    kinds = tuple(KINDS)
    KINDS[kinds[drawer.draw(0, len(kinds) - 1)]](drawer, bool(drawer.draw(0, 1)))
