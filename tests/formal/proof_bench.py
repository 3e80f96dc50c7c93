"""What a proof is about: units with free inputs, what is assumed of their environment, what is claimed."""

import sys
from pathlib import Path
from types import ModuleType

from amaranth import ClockDomain, Elaboratable, Module, Mux, Signal, Value
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cover, ValueLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

ROOT = Path(__file__).resolve().parents[2]


class FreeUnit(wiring.Component):
    """Has the ports of a unit, and what else its constructor says, and outputs of any value in any cycle."""

    def __init__(self, pattern: wiring.Component) -> None:
        super().__init__(pattern.signature)
        # It is not forgotten: only this is wanted of it.
        pattern._MustUse__silence = True
        for name, value in vars(pattern).items():
            if not hasattr(self, name):
                setattr(self, name, value)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for _, member, port in self.signature.flatten(self):
            if member.flow is Out and len(Value.cast(port)):
                m.d.comb += Value.cast(port).eq(AnySeq(len(Value.cast(port))))
        return m


class ProofBench(Elaboratable):
    """The top of a proof. State begins as at power-up; there is no reset.

    Members:
        m: the module to which statements are added.
        clock: the one clock, an input.
        began: this is not the first cycle.
        claims: text and source line of each claim, by the name of the signal that is up while it holds.
        goals: texts of what must be reachable.
    """

    def __init__(self) -> None:
        self.m = Module()
        self.m.domains.sync = domain = ClockDomain(reset_less=True)
        self.clock = domain.clk
        # Whatever `If` of the bench is open, these statements are in none.
        self.m.submodules.own = self._own = Module()
        self.began = Signal()
        self._own.d.sync += self.began.eq(1)
        self.claims: dict[str, str] = {}
        self.goals: list[str] = []
        self._built: dict[int, Module] = {}
        self._pasts: dict[int, list[Value]] = {}

    def elaborate(self, platform: object) -> Module:
        return self.m

    # --- units ---------------------------------------------------------------------------------------------

    def add(self, name: str, unit: wiring.Component, *, driven: tuple[ValueLike, ...] = ()) -> None:
        """Put a unit into the bench: every input may have any value in any cycle, but for those `driven`."""
        self._build(unit)
        self.m.submodules[name] = unit
        skipped = {id(Value.cast(port)) for port in driven}
        for _, member, port in unit.signature.flatten(unit):
            signal = Value.cast(port)
            if member.flow is In and len(signal) and id(signal) not in skipped:
                self.m.d.comb += signal.eq(AnySeq(len(signal)))

    def cut(self, module: ModuleType, name: str) -> list[FreeUnit]:
        """Let a module use, in place of a class of units, such of which nothing but the ports is known.

        Returns:
            those that were made, filled while the module's own units are.
        """
        replaced, made = getattr(module, name), list[FreeUnit]()

        def make(*arguments: object, **options: object) -> FreeUnit:
            made.append(FreeUnit(replaced(*arguments, **options)))
            return made[-1]

        setattr(module, name, make)
        return made

    def part(self, unit: wiring.Component, *path: str) -> wiring.Component:
        """A unit inside of another one, by the names of its submodules."""
        for name in path:
            unit = getattr(self._build(unit).submodules, name)
        return unit

    def inner(self, unit: wiring.Component, name: str) -> Signal:
        """A signal that a unit drives and does not show, by its name.

        Raises:
            LookupError: if it has no such signal, or several.
        """
        shown = {id(Value.cast(port)) for _, _, port in unit.signature.flatten(unit)}
        # Amaranth has no public way to a module's own signals.
        driven = [signal for signal in self._build(unit)._driving if id(signal) not in shown]
        found = [signal for signal in driven if signal.name == name]
        if len(found) != 1:
            raise LookupError(f"{type(unit).__name__} must drive one signal {name!r}, not {len(found)}")
        return found[0]

    def stored(self, unit: wiring.Component, name: str, address: ValueLike) -> Value:
        """What lies at an address of a unit's memory, through a port that it has for the proof only."""
        storage = getattr(self._build(unit).submodules, name)
        assert isinstance(storage, memory.Memory)
        port = storage.read_port(domain="comb")
        self.m.d.comb += port.addr.eq(address)
        return port.data

    def _build(self, unit: wiring.Component) -> Module:
        """A unit's module, elaborated once: what is looked up is what is proven."""
        if id(unit) not in self._built:
            built = unit.elaborate(None)
            self._built[id(unit)] = built
            unit.elaborate = lambda platform: built
        return self._built[id(unit)]

    # --- values --------------------------------------------------------------------------------------------

    def any_value(self, shape: ValueLike, name: str) -> Signal:
        """A signal that may have any value in any cycle."""
        signal = Signal(shape, name=name)
        self._own.d.comb += Value.cast(signal).eq(AnySeq(len(Value.cast(signal))))
        return signal

    def any_constant(self, shape: ValueLike, name: str) -> Signal:
        """A signal that may have any value, the same in all cycles."""
        signal = Signal(shape, name=name)
        self._own.d.comb += Value.cast(signal).eq(AnyConst(len(Value.cast(signal))))
        return signal

    def named(self, value: ValueLike, name: str) -> Signal:
        """A value as a signal, which traces show."""
        signal = Signal(Value.cast(value).shape(), name=name)
        self._own.d.comb += signal.eq(value)
        return signal

    def past(self, value: ValueLike, cycles: int = 1, *, name: str = "") -> Signal:
        """`value` of some cycles ago; before the first cycle it was 0.

        A signal has one past: induction needs not be told that two are the same.
        """
        now = Value.cast(value)
        # The list keeps the value: its number is no other's.
        ages = self._pasts.setdefault(id(now), [now])
        while len(ages) <= cycles:
            label = f"{name}_{len(ages)}" if name else f"past_{len(self._pasts)}_{len(ages)}"
            before = Signal(now.shape(), name=label)
            self._own.d.sync += before.eq(ages[-1])
            ages.append(before)
        return ages[cycles]

    def count(self, step: ValueLike, *, bits: int, name: str, less: ValueLike = 0) -> Signal:
        """A counter of `step` - `less`, from 0."""
        counter = Signal(bits, name=name)
        self._own.d.sync += counter.eq(counter + step - less)
        return counter

    def flag(self, name: str, *, up: ValueLike, down: ValueLike = 0) -> Signal:
        """A flag, 0 at first; `up` wins over `down`, both act one cycle later."""
        flag = Signal(name=name)
        self._own.d.sync += flag.eq(Mux(up, 1, Mux(down, 0, flag)))
        return flag

    # --- statements ----------------------------------------------------------------------------------------

    def assume(self, condition: ValueLike) -> None:
        """The environment keeps to it in every cycle."""
        self._own.d.comb += Assume(Value.cast(condition).any(), src_loc_at=1)

    def claim(self, text: str, condition: ValueLike, *, when: ValueLike = 1) -> None:
        """It holds in every cycle in which `when` is up."""
        caller = sys._getframe(1)
        path = Path(caller.f_code.co_filename)
        place = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        holds = Signal(name=f"claim_{len(self.claims)}")
        self.claims[holds.name] = f"{text} ({place}:{caller.f_lineno})"
        self._own.d.comb += holds.eq(~Value.cast(when).any() | Value.cast(condition).any())
        self._own.d.comb += Assert(holds, src_loc_at=1)

    def stable(self, text: str, valid: Value, ready: Value, *payload: ValueLike) -> None:
        """A handshake keeps to its rule: what is offered stays as it is until it is taken."""
        waited = self.past(valid & ~ready)
        self.claim(f"{text} stays until taken", valid, when=waited)
        for value in payload:
            same = Value.cast(value) == self.past(value)
            self.claim(f"{text} does not change until taken", same, when=waited)

    def reach(self, text: str, condition: ValueLike) -> None:
        """It can come to this: the assumptions leave something to prove."""
        self.goals.append(text)
        self._own.d.comb += Cover(Value.cast(condition).any(), src_loc_at=1)
