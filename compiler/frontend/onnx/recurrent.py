"""Recurrent layers, one or two directions."""

from collections.abc import Callable, Sequence

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx.node import Node, Result, converter
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import recurrent as r

_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@converter("RNN", "GRU", "LSTM")
def _recurrent(node: Node) -> Result:
    b, kind = node.b, node.operator
    direction = node.choice("direction", "forward", ["forward", "reverse", "bidirectional"])
    directions = 2 if direction == "bidirectional" else 1
    hidden = node.integer("hidden_size")
    x = node.x(0)
    require(x.type.rank == 3, f"X must be of rank 3, not {x.type.rank}")
    by_batch = bool(node.integer("layout", 0))
    x = e.transpose(b, x, (1, 0, 2)) if by_batch else x
    require(
        node.type(1).shape[:2] == (directions, _GATES[kind] * hidden),
        f"W must be [{directions}, …], not {node.type(1)}",
    )
    batch = x.type.shape[1]
    start = [
        _state(node, index, by_batch, (directions, batch, hidden))
        for index in ((5, 6) if kind == "LSTM" else (5,))
    ]
    outputs, lasts = [], []
    for place in range(directions):
        backwards = direction == "reverse" or place == 1
        state = [e.squeeze(b, e.slice_axis(b, each, 0, place, place + 1), (0,)) for each in start]
        last, steps = _one(node, x, place, state, backwards)
        outputs.append(steps)
        lasts.append(last)
    y = e.stack(b, outputs, 1)
    states = [e.stack(b, [last[index] for last in lasts], 0) for index in range(len(start))]
    if by_batch:
        y = e.transpose(b, y, (2, 0, 1, 3))
        states = [e.transpose(b, each, (1, 0, 2)) for each in states]
    return [y, *states]


def _state(node: Node, index: int, by_batch: bool, shape: Sequence[object]) -> Value:
    if not node.has(index):
        return e.full(node.b, 0.0, node.type(0).dtype, tuple(shape))  # type: ignore[arg-type]
    return e.transpose(node.b, node.x(index), (1, 0, 2)) if by_batch else node.x(index)


def _one(
    node: Node, x: Value, place: int, state: Sequence[Value], backwards: bool
) -> tuple[Sequence[Value], Value]:
    """One direction: the last state, and the output of each step."""
    b = node.b

    def part(index: int) -> Value | None:
        if not node.has(index):
            return None
        return e.squeeze(b, e.slice_axis(b, node.x(index), 0, place, place + 1), (0,))

    w, recurrence = part(1), part(2)
    assert w is not None
    assert recurrence is not None
    settings = r.RecurrentSettings(
        hidden=node.integer("hidden_size"),
        activations=tuple(_activations(node, place)),
        clip=node.number("clip", 0.0),
        reset_after=bool(node.integer("linear_before_reset", 0)),
        coupled=bool(node.integer("input_forget", 0)),
        reverse=backwards,
    )
    lengths = e.cast(b, node.x(4), DType.INT64) if node.has(4) else None
    peepholes = part(7) if node.operator == "LSTM" else None
    return r.layer(b, node.operator.lower(), settings, x, w, recurrence, part(3), state, lengths, peepholes)


def _activations(node: Node, place: int) -> list[Callable[[Builder, Value], Value]]:
    names = list(node.strings("activations", []))
    count = len(_DEFAULTS[node.operator])
    mine = names[place * count : (place + 1) * count] or _DEFAULTS[node.operator]
    alphas, betas = list(node.floats("activation_alpha", [])), list(node.floats("activation_beta", []))
    found = []
    for name in mine:
        key = name.lower()
        require(key in r.ACTIVATIONS, f"activations must be {', '.join(r.ACTIVATIONS)}, not {name}")
        numbers, function = r.ACTIVATIONS[key]
        alpha = alphas.pop(0) if numbers > 0 and alphas else None
        beta = betas.pop(0) if numbers > 1 and betas else None
        found.append(r.with_numbers(function, alpha, beta))
    return found
