"""Requantisation in gates: the definition is `numerics/requantise.py`, from which the widths come."""

from collections.abc import Sequence

from amaranth import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hw.address import one_of
from tilewright.hw.request import delay
from tilewright.hw.vector_lane import LANE_BITS
from tilewright.isa.config import Config
from tilewright.isa.instruction import Vector, specs
from tilewright.numerics.requantise import (
    MULTIPLIER_BITS,
    PRODUCT_SHIFT,
    SHIFT_BITS,
    SHIFT_MAXIMUM,
    SHIFT_POSITION,
    X_BITS,
    X_MAXIMUM,
    X_MINIMUM,
)

PRODUCT_BITS = X_BITS + MULTIPLIER_BITS
ZERO_POINT_BITS = specs(Vector)["zero_point"].bits

FINE_BITS = 3
"""The shift goes in steps of 8 first, then by the rest."""
FINE = 1 << FINE_BITS
LEFT = X_BITS - 2
"""The longest shift to the left that leaves 1 inside of x: a longer one saturates whatever is not 0."""
COARSE_STEPS = (LEFT + SHIFT_MAXIMUM) // FINE + 1
WINDOW_BITS = X_BITS + FINE - 1
"""Bits of a coarsely shifted value of which the fine shift takes X_BITS; one more below rounds."""

X_STAGE = 3
"""Registers from t to x."""

REQUANTISE_CONTROL = data.StructLayout(
    {"valid": 1, "scale": 1, "requantise": 1, "zero_point": signed(ZERO_POINT_BITS)}
)
"""What lies in a stage of the requantiser.

Members:
    valid: something is there.
    scale: the scale of the results that follow.
    requantise: a result to be requantised; everything else passes unchanged.
    zero_point: added to a result that is requantised.
"""


def requantise_latency(config: Config) -> int:
    """Cycles from t to y."""
    return X_STAGE + 1 + config.requant_interval


class Requantiser(wiring.Component):
    """Scale, round and saturate a vector: y = requantise(t, scale) + zero_point, or y = t.

    `requant_interval` lanes share a multiplier, one cycle each; y comes for all lanes at once.

    Latency: `requantise_latency(config)` cycles from `t` to `y`. Throughput: one vector a cycle; those that
    are requantised at least `requant_interval` cycles apart. A scale is taken by the results behind it only.

    Members:
        t: array of In. Each lane's value, or its scale; a register.
        control: array of In. What lies in each stage, from that of `t` on.
        y: array of Out. Each lane's result, a register.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__(
            {
                "t": In(signed(LANE_BITS)).array(config.cols),
                "control": In(REQUANTISE_CONTROL).array(requantise_latency(config)),
                "y": Out(signed(LANE_BITS)).array(config.cols),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        multipliers = self.config.cols // self.config.requant_interval
        for place in range(multipliers):
            m.submodules[f"group_{place}"] = group = LaneGroup(self.config.requant_interval)
            m.d.comb += [group.control[stage].eq(control) for stage, control in enumerate(self.control)]
            for turn in range(self.config.requant_interval):
                lane = place + turn * multipliers
                m.d.comb += [group.t[turn].eq(self.t[lane]), self.y[lane].eq(group.y[turn])]
        return m


class LaneGroup(wiring.Component):
    """The lanes that share one multiplier, each in its turn of a cycle.

    Latency, throughput and members: as `Requantiser`, of `lanes` lanes.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(
            {
                "t": In(signed(LANE_BITS)).array(lanes),
                "control": In(REQUANTISE_CONTROL).array(X_STAGE + lanes + 1),
                "y": Out(signed(LANE_BITS)).array(lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        xs, factors, passed = zip(*(self._elaborate_lane(m, turn) for turn in range(self.lanes)), strict=True)
        products = self._elaborate_products(m, xs, factors)
        for y, product, value in zip(self.y, products, passed, strict=True):
            self._elaborate_result(m, self.control[-1], y, product, value)
        return m

    def _elaborate_lane(self, m: Module, turn: int) -> tuple[Value, Value, Value]:
        """x and multiplier of a lane in its turn, and its t beside the products."""
        m.submodules[f"shift_{turn}"] = shift = LaneShift()
        m.d.comb += shift.t.eq(self.t[turn])
        m.d.comb += [inner.eq(outer) for inner, outer in zip(shift.control, self.control, strict=False)]
        stages = [self.t[turn]]
        for stage in range(1, len(self.control)):
            stages.append(delay(m, stages[-1], 1, name=f"t_{turn}_{stage}", reset_less=True))
        before = X_STAGE + turn - 1
        factor = self._elaborate_factor(m, self.control[before], stages[before], turn)
        return shift.x, factor, stages[-1]

    def _elaborate_factor(self, m: Module, control: data.View, scale: Value, turn: int) -> Value:
        """The lane's multiplier; it changes behind the last result that needs the one before."""
        multiplier = Signal(MULTIPLIER_BITS, name=f"multiplier_{turn}", reset_less=True)
        with m.If(control.scale):
            m.d.sync += multiplier.eq(scale[:MULTIPLIER_BITS])
        # A register that does nothing else, such as the multiplier blocks of FPGAs bring along.
        return delay(m, multiplier, 1, name=f"factor_{turn}", reset_less=True)

    def _elaborate_products(self, m: Module, xs: Sequence[Value], factors: Sequence[Value]) -> list[Signal]:
        """One multiplication a cycle, kept for each lane until all are made."""
        hits = [control.requantise for control in self.control[X_STAGE : X_STAGE + self.lanes]]
        x, factor = (one_of(hits, of) if self.lanes > 1 else of[0] for of in (xs, factors))
        product = x * factor
        products = []
        for turn, hit in enumerate(hits):
            kept = Signal(signed(PRODUCT_BITS), name=f"product_{turn}", reset_less=True)
            with m.If(hit):
                m.d.sync += kept.eq(product)
            products.append(kept)
        return products

    def _elaborate_result(
        self, m: Module, control: data.View, y: Value, product: Signal, passed: Value
    ) -> None:
        result = Signal.like(y, reset_less=True)
        # Half a unit is the bit below: rounding is the adder's carry.
        half = product[PRODUCT_SHIFT - 1]
        rounded = product[PRODUCT_SHIFT:].as_signed() + control.zero_point + half
        with m.If(control.valid):
            m.d.sync += result.eq(Mux(control.requantise, rounded, passed))
        m.d.comb += y.eq(result)


class LaneShift(wiring.Component):
    """x = sat18(round_half_up(t x 2 ** -pre)) of one lane.

    The shift is to the right, by pre + LEFT, of t with LEFT zeros behind it.

    Latency: X_STAGE cycles from `t` to `x`. Throughput: one a cycle.

    Members:
        t: In. The value, or the scale; a register.
        control: array of In. What lies in each stage, from that of `t` on.
        x: Out. Shifted, rounded, saturated; it stays until the next result that is to be requantised.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "t": In(signed(LANE_BITS)),
                "control": In(REQUANTISE_CONTROL).array(X_STAGE),
                "x": Out(signed(X_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift, longer = self._elaborate_amount(m, self.control[0])
        window, beyond, sign = self._elaborate_coarse(m, self.control[0], shift[FINE_BITS:])
        # Behind LEFT zeros, 1 and −1 alone are inside, and would not be behind more.
        saturates = beyond | (longer & window[LEFT + 1])
        self._elaborate_fine(m, shift[:FINE_BITS], sign, window, saturates)
        return m

    def _elaborate_amount(self, m: Module, control: data.View) -> tuple[Signal, Signal]:
        """pre + LEFT, or 0 if that is negative; whether it is."""
        shift = Signal(range(COARSE_STEPS * FINE), reset_less=True)
        longer = Signal(reset_less=True)
        pre = self.t[SHIFT_POSITION : SHIFT_POSITION + SHIFT_BITS].as_signed()
        with m.If(control.scale):
            m.d.sync += [longer.eq(pre < -LEFT), shift.eq(Mux(pre < -LEFT, 0, pre + LEFT))]
        return shift, longer

    def _elaborate_coarse(self, m: Module, control: data.View, steps: Value) -> tuple[Signal, ...]:
        """The lowest bits after the coarse shift and one below; is any above not the sign; the sign."""
        window = Signal(WINDOW_BITS + 1, reset_less=True)
        beyond, sign_late = (Signal(name=name, reset_less=True) for name in ("beyond", "sign"))
        sign = self.t[-1]
        # One bit below the value, which is 0, and copies of the sign above.
        value = Cat(C(0, LEFT + 1), self.t, sign.replicate(COARSE_STEPS * FINE))
        with m.If(control.requantise):
            m.d.sync += sign_late.eq(sign)
            with m.Switch(steps):
                for step in range(COARSE_STEPS):
                    above = self.t[max(step * FINE + WINDOW_BITS - LEFT, 0) :]
                    with m.Case(step):
                        m.d.sync += window.eq(value[step * FINE :])
                        m.d.sync += beyond.eq((above ^ sign.replicate(len(above))).any())
        return window, beyond, sign_late

    def _elaborate_fine(self, m: Module, shift: Value, sign: Value, window: Signal, saturates: Value) -> None:
        """The fine shift; then the half is added, or the result saturates."""
        floor = Signal(X_BITS, reset_less=True)
        half, outside, sign_late = (
            Signal(name=name, reset_less=True) for name in ("half", "outside", "sign_late")
        )
        with m.If(self.control[1].requantise):
            m.d.sync += sign_late.eq(sign)
            with m.Switch(shift):
                for step in range(FINE):
                    above = window[step + X_BITS :]
                    with m.Case(step):
                        m.d.sync += Cat(half, floor).eq(window[step:])
                        m.d.sync += outside.eq(saturates | (above ^ sign.replicate(len(above))).any())
        self._elaborate_x(m, floor.as_signed(), half, outside, sign_late)

    def _elaborate_x(self, m: Module, floor: Value, half: Value, outside: Value, sign: Value) -> None:
        x = Signal(signed(X_BITS), reset_less=True)
        # Of what is inside, only the largest floor is rounded up to what is not: a sign that was not there.
        rounded = floor + half
        high, low = ~sign & (outside | rounded[X_BITS - 1]), sign & outside
        with m.If(self.control[X_STAGE - 1].requantise):
            m.d.sync += x.eq(Mux(high, X_MAXIMUM, Mux(low, X_MINIMUM, rounded)))
        m.d.comb += self.x.eq(x)
