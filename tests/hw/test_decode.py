"""The decoder in gates judges every word as the tables of `isa` do."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.hw.decode import Decoder
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.encoding import decode_table
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import (
    INSTRUCTIONS,
    ISA_VERSION,
    Destination,
    Finish,
    Nop,
    ReduceMode,
    SourceA,
    SourceB,
    Vector,
    VectorOp,
    layout,
)
from tilewright.isa.legality import dispatch_faults
from tilewright.isa.memory import Engine

NARROW = Config(
    rows=4,
    cols=8,
    activation_banks=2,
    activation_vectors=16,
    weight_banks=2,
    weight_vectors=64,
    accumulator_vectors=16,
    parameter_vectors=16,
    bus_bytes=64,
)


def random_word(rng: np.random.Generator, config: Config) -> int:
    """An instruction whose fields are mostly small or sensible, sometimes anything."""
    kind = INSTRUCTIONS[rng.integers(len(INSTRUCTIONS))]
    word = ISA_VERSION | kind.opcode << 4
    if kind is not Finish:
        word |= int(rng.integers(256) & rng.integers(256)) << 8
    values = {name: _random_value(rng, name, config) for name in layout(kind)}
    if kind is Vector and rng.random() < 0.3:
        values |= _nearly_in_place(rng, values)
    for name, (position, row) in layout(kind).items():
        word |= (values[name] & ((1 << row.bits) - 1)) << position
    if rng.random() < 0.1:
        word ^= 1 << int(rng.integers(512))
    return word


def _random_value(rng: np.random.Generator, name: str, config: Config) -> int:
    if rng.random() < 0.02:
        return int(rng.integers(1 << 48))
    if name.startswith("n_"):
        return int(rng.integers(0 if rng.random() < 0.1 else 1, 4)) if name not in ("n_2", "n_3") else 1
    if name in ("offset", "stride_x", "stride_y", "stride_z"):
        return int(rng.integers(8)) * (4 if rng.random() < 0.05 else config.bus_bytes)
    if name in ("destination", "a", "b", "address", "activation", "weight", "accumulator", "parameter"):
        return int(rng.integers(4)) * config.activation_vectors + int(rng.integers(2))
    return int(rng.integers(4))


def _nearly_in_place(rng: np.random.Generator, values: dict[str, int]) -> dict[str, int]:
    """Fields of a vector instruction that overwrites its source, or differs from that in one field."""
    memory = {"to": Destination.ACTIVATION, "a_from": SourceA.ACTIVATION, "b_from": SourceB.CONSTANT}
    plain = {"op": VectorOp.ADD, "reduce": ReduceMode.ADD, "lookup": 0, "n_2": 1, "n_3": 1}
    same = {f"destination{part}": values[f"a{part}"] for part in ("", "_stride_0", "_stride_1")}
    result: dict[str, int] = memory | plain | same
    changed = str(rng.choice([*same, "n_2", "n_3", "zero_point"]))
    return result | {changed: result.get(changed, 0) + 1}


def claimed_ports(word: int, config: Config) -> int | None:
    """The claims by the footprint of the instruction, None if it has none that is legal."""
    from tilewright.isa.encoding import decode
    from tilewright.isa.footprint import claims

    return claims(decode(word.to_bytes(64, "little")), config)


@pytest.mark.parametrize(
    "config", [PRESETS["tiny"], PRESETS["ecp5-85f"], NARROW], ids=["tiny", "8x16", "narrow"]
)
def test_words_are_judged_and_claimed_as_by_the_tables(config: Config) -> None:
    rng = np.random.default_rng(7)
    words = [random_word(rng, config) for _ in range(1500)]
    code = b"".join(word.to_bytes(64, "little") for word in words)
    table = decode_table(code)
    expected = dispatch_faults(table, config)
    seen = dict.fromkeys(Cause, 0)
    decoder = Decoder(config)

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]  # Amaranth's contexts are untyped
        for place, word in enumerate(words):
            ctx.set(decoder.word, word)
            ctx.set(decoder.last, place == len(words) - 1)
            cause = _cause(ctx.get(decoder.illegal), ctx.get(decoder.outside))
            seen[cause] += 1
            assert cause == expected[place], f"word {place}: {word:#x}"
            if cause == Cause.NONE:
                assert ctx.get(decoder.claims) == claimed_ports(word, config)
                assert ctx.get(decoder.nop) == (table.opcode[place] == Nop.opcode)
                assert Engine(ctx.get(decoder.engine)) in Engine

    simulator = Simulator(decoder)
    simulator.add_testbench(bench)
    simulator.run()
    assert min(seen[cause] for cause in (Cause.NONE, Cause.ILLEGAL, Cause.ADDRESS)) > 50


def _cause(illegal: int, outside: int) -> Cause:
    return Cause.ILLEGAL if illegal else Cause.ADDRESS if outside else Cause.NONE
