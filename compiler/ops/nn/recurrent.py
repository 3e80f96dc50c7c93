"""Recurrent layers as scans over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import activation as a

Activation = Callable[[Builder, Value], Value]


def _affine(b: Builder, x: Value, alpha: float = 1.0, beta: float = 0.0) -> Value:
    return e.add(b, e.mul(b, x, alpha), beta)


def _scaled_tanh(b: Builder, x: Value, alpha: float = 1.0, beta: float = 1.0) -> Value:
    return e.mul(b, e.tanh(b, e.mul(b, x, beta)), alpha)


ACTIVATIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    "tanh": (0, e.tanh),
    "sigmoid": (0, e.sigmoid),
    "relu": (0, e.relu),
    "softsign": (0, a.softsign),
    "softplus": (0, a.softplus),
    "affine": (2, _affine),
    "leakyrelu": (1, a.leaky_relu),
    "thresholdedrelu": (1, a.thresholded_relu),
    "scaledtanh": (2, _scaled_tanh),
    "hardsigmoid": (2, a.hard_sigmoid),
    "elu": (1, a.elu),
}
"""By name: how many numbers each takes, and the function."""


def with_numbers(function: Callable[..., Value], alpha: float | None, beta: float | None) -> Activation:
    """An activation with its numbers set; None leaves the usual one."""
    given = {name: value for name, value in (("alpha", alpha), ("beta", beta)) if value is not None}
    return lambda b, x: function(b, x, **given)


@dataclass(frozen=True)
class RecurrentSettings:
    """What a recurrent layer does besides its weights.

    Members:
        hidden: elements of a state.
        activations: of the gates, then of the candidate and the output.
        clip: bounds what enters an activation; 0 does not.
        reset_after: of a GRU, whether the reset gate is applied behind the product.
        coupled: of an LSTM, whether the forget gate is 1 − the input gate.
        reverse: whether time runs backwards.
    """

    hidden: int
    activations: tuple[Activation, ...]
    clip: float = 0.0
    reset_after: bool = False
    coupled: bool = False
    reverse: bool = False

    def apply(self, b: Builder, index: int, x: Value) -> Value:
        """An activation of what was clipped."""
        if self.clip:
            x = a.clip(b, x, -self.clip, self.clip)
        return self.activations[index](b, x)


@dataclass(frozen=True)
class RecurrentWeights:
    """Of one direction, gates stacked: recurrence (gates·H, H), biases (gates·H), peepholes (3·H)."""

    recurrence: Value
    recurrence_bias: Value | None
    peepholes: Value | None


def layer(
    b: Builder,
    kind: str,
    settings: RecurrentSettings,
    x: Value,
    w: Value,
    recurrence: Value,
    bias: Value | None,
    state: Sequence[Value],
    lengths: Value | None,
    peepholes: Value | None = None,
) -> tuple[tuple[Value, ...], Value]:
    """One direction of an rnn, gru or lstm.

    Args:
        b: where the equations go.
        kind: rnn, gru or lstm; gates are stacked as in ONNX (gru: z r h; lstm: i o f c).
        settings: activations and the like.
        x: (T, N, C).
        w: (gates·H, C).
        recurrence: (gates·H, H).
        bias: (2·gates·H), of the input and of the recurrence, or None.
        state: h, and c of an lstm, (N, H) each.
        lengths: int64 (N): later steps leave the state and give 0.
        peepholes: (3·H) of an lstm, for i, o, f.

    Returns:
        the last state, and h of each step (T, N, H).
    """
    gates = w.type.shape[0]
    given = e.dot(b, x, w, (2,), (1,))
    recurrence_bias = None
    if bias is not None:
        given = e.add(b, given, e.slice_axis(b, bias, 0, 0, gates))
        recurrence_bias = e.slice_axis(b, bias, 0, gates, gates * 2)
    weights = RecurrentWeights(recurrence, recurrence_bias, peepholes)
    step = _STEPS[kind]
    times = e.iota(b, DType.INT64, x.type.shape[:1], 0)

    def body(inner: Builder, *values: Value) -> list[Value]:
        before, (now, time) = values[: len(state)], values[len(state) :]
        after = step(inner, settings, weights, now, before)
        shown = after[0]
        if lengths is not None:
            column = e.reshape(inner, lengths, (lengths.type.shape[0], 1))
            running = e.less(inner, time, column)
            shown = e.select(inner, running, shown, e.zeros_like(inner, shown))
            after = [e.select(inner, running, new, old) for new, old in zip(after, before, strict=True)]
        return [*after, shown]

    results = e.scan(b, list(state), [given, times], body, reverse=settings.reverse)
    return tuple(results[:-1]), results[-1]


def _part(b: Builder, x: Value, settings: RecurrentSettings, index: int) -> Value:
    return e.slice_axis(b, x, x.type.rank - 1, index * settings.hidden, (index + 1) * settings.hidden)


def _recurrent(b: Builder, weights: RecurrentWeights, h: Value) -> Value:
    product = e.dot(b, h, weights.recurrence, (1,), (1,))
    return product if weights.recurrence_bias is None else e.add(b, product, weights.recurrence_bias)


def _rnn(
    b: Builder, settings: RecurrentSettings, weights: RecurrentWeights, x: Value, state: Sequence[Value]
) -> list[Value]:
    return [settings.apply(b, 0, e.add(b, x, _recurrent(b, weights, state[0])))]


def _gru(
    b: Builder, settings: RecurrentSettings, weights: RecurrentWeights, x: Value, state: Sequence[Value]
) -> list[Value]:
    (h,) = state
    again = _recurrent(b, weights, h)
    update = settings.apply(b, 0, e.add(b, _part(b, x, settings, 0), _part(b, again, settings, 0)))
    reset = settings.apply(b, 0, e.add(b, _part(b, x, settings, 1), _part(b, again, settings, 1)))
    if settings.reset_after:
        old = e.mul(b, reset, _part(b, again, settings, 2))
    else:
        hidden = settings.hidden
        matrix = e.slice_axis(b, weights.recurrence, 0, 2 * hidden, 3 * hidden)
        old = e.dot(b, e.mul(b, reset, h), matrix, (1,), (1,))
        if weights.recurrence_bias is not None:
            old = e.add(b, old, _part(b, weights.recurrence_bias, settings, 2))
    candidate = settings.apply(b, 1, e.add(b, _part(b, x, settings, 2), old))
    # (1 − z)·candidate + z·h
    return [e.add(b, candidate, e.mul(b, update, e.sub(b, h, candidate)))]


def _lstm(
    b: Builder, settings: RecurrentSettings, weights: RecurrentWeights, x: Value, state: Sequence[Value]
) -> list[Value]:
    h, c = state
    total = e.add(b, x, _recurrent(b, weights, h))
    i, o, f, g = (_part(b, total, settings, index) for index in range(4))
    peep = weights.peepholes
    if peep is not None:
        i = e.add(b, i, e.mul(b, _part(b, peep, settings, 0), c))
        f = e.add(b, f, e.mul(b, _part(b, peep, settings, 2), c))
    i = settings.apply(b, 0, i)
    if settings.coupled:
        f = e.add(b, e.neg(b, i), 1.0)
    else:
        f = settings.apply(b, 0, f)
    new = e.add(b, e.mul(b, f, c), e.mul(b, i, settings.apply(b, 1, g)))
    if peep is not None:
        o = e.add(b, o, e.mul(b, _part(b, peep, settings, 1), new))
    return [e.mul(b, settings.apply(b, 0, o), settings.activations[2](b, new)), new]


_STEPS = {"rnn": _rnn, "gru": _gru, "lstm": _lstm}
