"""The address generator takes exactly the actions of a block, padding where there is padding."""

from collections.abc import Sequence
from types import ModuleType

import pytest
from amaranth import C, Mux, Signal, Value

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import address_generator
from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Load, Store, specs

_BITS = specs(Load)["n_x"].bits
_CONFIG = PRESETS["tiny"]


def padding_bench(unit: ModuleType) -> ProofBench:
    """Positions are numbered; lengths as wide as the widest field."""
    bench = ProofBench()
    dut = unit.PaddingCounter(_BITS)
    bench.add("dut", dut)
    bench.assume(~dut.start | (sum(dut.length) != 0))
    started = bench.flag("started", up=dut.start)
    bench.assume(~dut.step | dut.start | started)
    before, inside, after = lengths = [Signal(_BITS, name=f"given_{zone}") for zone in range(3)]
    place = Signal(_BITS + 2, name="place")
    total = bench.named(before + inside + after, "total")
    with bench.m.If(dut.start):
        bench.m.d.sync += [kept.eq(given) for kept, given in zip(lengths, dut.length, strict=True)]
        bench.m.d.sync += place.eq(0)
    with bench.m.Elif(dut.step):
        bench.m.d.sync += place.eq(Mux(place == total - 1, 0, place + 1))
    is_inside = (place >= before) & (place < before + inside)
    bench.claim(
        "it is inside behind the padding before, as many positions as were given",
        dut.inside == is_inside,
        when=started,
    )
    inside_ends = is_inside & (place == before + inside - 1)
    bench.claim("it knows the last position inside", dut.inside_ends == inside_ends, when=started)
    bench.claim("it ends with the sum of the lengths", dut.ends == (place == total - 1), when=started)
    _claim_padding(bench, dut, "the counter", lengths, place, when=started)
    both_sides = (before != 0) & (inside != 0) & (after != 0)
    bench.reach("it ends behind padding on both sides", started & dut.ends & both_sides)
    return bench


def _claim_padding(
    bench: ProofBench, dut, name: str, lengths: Sequence[Value], place: Value, *, when
) -> None:
    """Its registers while it is at a position: what induction needs."""
    before, inside, _ = lengths
    total = sum(lengths)
    zones = (place < before, (place >= before) & (place < before + inside), place >= before + inside)
    ends = (before, before + inside, total)
    zone, count, last, used, single = (
        bench.inner(dut, register) for register in ("zone", "count", "last", "used", "single")
    )
    for index, (here, end, length) in enumerate(zip(zones, ends, lengths, strict=True)):
        text = f"{name}, zone {index}"
        bench.claim(f"{text}: it is up where it should be", zone[index] == here, when=when)
        bench.claim(f"{text}: it counts down to its end", count == end - place, when=when & here)
        bench.claim(f"{text}: it knows its last position", last == (place == end - 1), when=when & here)
        flags = (used[index] == (length != 0)) & (single[index] == (length == 1))
        kept = flags & (bench.inner(dut, f"length_{index}") == length)
        bench.claim(f"{text}: it keeps its length", kept, when=when)
    bench.claim(f"{name}: it is at a position", (place < total) & (total != 0), when=when)


def generator_bench(unit: ModuleType, kind: type[Load] | type[Store]) -> ProofBench:
    """Blocks of any size; that started instructions wait in their order, the proof of the queue says."""
    bench = ProofBench()
    queues = bench.cut(unit, "Queue")
    dut = unit.AddressGenerator(_CONFIG, kind)
    bench.add("dut", dut)
    (started,) = queues
    x_side, y_side = _sides(started.head)
    legal = (sum(x_side) != 0) & (sum(y_side) != 0) & (started.head.n_z != 0)
    bench.assume(legal | ~started.valid)
    block = Signal(dut.entry, name="block")
    with bench.m.If(dut.begin):
        bench.m.d.sync += block.eq(started.head)
    x, y, z = (Signal(_BITS + 2, name=f"vector_{axis}") for axis in "xyz")
    busy = bench.flag("in_block", up=dut.begin, down=dut.action.valid & dut.action.ends)
    bench.claim("it works from its beginning to its last action", bench.inner(dut, "busy") == busy)
    bench.claim("it begins only if it rests and something is started", ~busy & started.valid, when=dut.begin)
    bench.claim("there is no action outside of a block", busy, when=dut.action.valid)
    _follow(bench, dut, block, busy, (x, y, z))
    _claim_loops(bench, dut, block, busy, (x, y, z))
    _claim_addresses(bench, unit, dut, block, busy, (x, y, z))
    _claim_parts(bench, dut, block, busy)
    several = (z == 1) & (y == 1) & (x == 1)
    bench.reach("a block of two planes, rows and vectors ends", several & dut.action.valid & dut.action.ends)
    return bench


_Place = tuple[Signal, Signal, Signal]


def _follow(bench: ProofBench, dut, block, busy: Value, place: _Place) -> None:
    """Vectors of the block are counted along x, y, z: which of them are padding, and which is the last."""
    action, (x, y, z), (x_side, y_side) = dut.action, place, _sides(block)
    row_ends, plane_ends = x == sum(x_side) - 1, y == sum(y_side) - 1
    with bench.m.If(dut.begin):
        bench.m.d.sync += [axis.eq(0) for axis in place]
    with bench.m.Elif(action.valid & action.ends_vector):
        bench.m.d.sync += x.eq(Mux(row_ends, 0, x + 1))
        bench.m.d.sync += y.eq(Mux(row_ends, Mux(plane_ends, 0, y + 1), y))
        bench.m.d.sync += z.eq(z + (row_ends & plane_ends))
    last = action.ends_vector & row_ends & plane_ends & (z == block.n_z - 1)
    bench.claim("it ends exactly with the last of all vectors", action.ends == last, when=action.valid)
    (left, n_x, _), (top, n_y, _) = x_side, y_side
    inside = (x >= left) & (x < left + n_x) & (y >= top) & (y < top + n_y)
    bench.claim("what is around the block is padding, nothing else", action.pad == ~inside, when=action.valid)
    bench.claim("a vector of padding is one action", action.ends_vector, when=action.valid & action.pad)
    bench.claim("beats are taken only if there is one", dut.supply, when=action.valid & ~action.pad)
    for name in ("index", "memory"):
        bench.claim(f"{name} is that of the instruction", action[name] == block[name], when=action.valid)


def _claim_loops(bench: ProofBench, dut, block, busy: Value, place: _Place) -> None:
    """Each counter is where the vector is: what induction needs."""
    (x, y, z), (x_side, y_side) = place, _sides(block)
    _claim_padding(bench, dut._row, "row", x_side, x, when=busy)
    _claim_padding(bench, dut._plane, "plane", y_side, y, when=busy)
    planes = {
        name: bench.inner(dut._planes, f"{name}_0") for name in ("count", "remaining", "single", "last")
    }
    bench.claim("planes are counted down", planes["remaining"] == block.n_z - z, when=busy)
    bench.claim("the last plane is known", planes["last"] == (z == block.n_z - 1), when=busy)
    bench.claim("there is a plane", z < block.n_z, when=busy)
    bench.claim("the instruction is kept", bench.inner(dut, "kept") == block.as_value(), when=busy)


def _claim_addresses(bench: ProofBench, unit: ModuleType, dut, block, busy: Value, place: _Place) -> None:
    """From vector to vector, row to row and plane to plane the address grows by the stride."""
    x, y, _ = place
    chip, bits = dut._chip, unit.ADDRESS_BITS
    stride_x = block.chip_stride_x if "chip_stride_x" in block.shape().members else C(1)
    strides = (block.chip_stride_z, block.chip_stride_y, stride_x)
    plane, row, vector = (
        Signal(bits, name=name) for name in ("plane_address", "row_address", "vector_address")
    )
    row_ends, plane_ends = x == sum(_sides(block)[0]) - 1, y == sum(_sides(block)[1]) - 1
    with bench.m.If(dut.begin):
        bench.m.d.sync += [address.eq(dut.first) for address in (plane, row, vector)]
    with bench.m.Elif(dut.action.valid & dut.action.ends_vector):
        with bench.m.If(row_ends & plane_ends):
            bench.m.d.sync += [address.eq(plane + strides[0]) for address in (plane, row, vector)]
        with bench.m.Elif(row_ends):
            bench.m.d.sync += [address.eq(row + strides[1]) for address in (row, vector)]
        with bench.m.Else():
            bench.m.d.sync += vector.eq(vector + strides[2])
    bench.claim("the address is that of the vector", dut.action.address == vector, when=dut.action.valid)
    registers = (bench.inner(chip, "pass_0"), bench.inner(chip, "pass_1"), chip.address)
    for level, (register, address) in enumerate(zip(registers, (plane, row, vector), strict=True)):
        bench.claim(f"address register {level} follows", register == address, when=busy)
        kept = bench.inner(chip, f"stride_{level}").as_unsigned() == strides[level][:bits].as_unsigned()
        bench.claim(f"stride {level} is kept", kept, when=busy)


def _claim_parts(bench: ProofBench, dut, block, busy: Value) -> None:
    """Beats of a vector come in order, all of them before the next vector."""
    action = dut.action
    wide = address_generator.holds_wide(block.memory)
    beats = dut.transfers.choose(wide, lambda transfer: 1 << transfer.vector_beats_log2)
    part = Signal(8, name="beat_of_vector")
    taken = action.valid & ~action.pad
    with bench.m.If(taken):
        bench.m.d.sync += part.eq(Mux(action.ends_vector, 0, part + 1))
    bench.claim("beats of a vector come in order", action.part == part, when=taken)
    bench.claim("a vector ends with its last beat", action.ends_vector == (part == beats - 1), when=taken)
    bench.claim("the beat is counted", bench.inner(dut, "part") == part)
    bench.claim("there is such a beat", (part < beats) | ~busy & (part == 0))
    bench.claim("no vector is left unfinished", part == 0, when=~busy)
    bench.claim("no vector is unfinished on padding", part == 0, when=busy & action.pad)
    bench.claim("vectors are as wide as their memory's", bench.inner(dut, "wide") == wide, when=busy)


def _sides(entry) -> list[list[Value]]:
    """Lengths along x and y: before, inside, behind."""
    return [[entry[name] if name in entry.shape().members else C(0) for name in names] for names in _SIDES]


_SIDES = (("pad_left", "n_x", "pad_right"), ("pad_top", "n_y", "pad_bottom"))


def _generator(kind: type[Load] | type[Store], *bugs: SeededBug) -> Proof:
    return Proof(
        name=f"actions of a {kind.__name__.lower()}",
        unit=address_generator,
        bench=lambda unit: generator_bench(unit, kind),
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=14,
        bugs=bugs,
        is_slow=True,
    )


PROOFS = (
    Proof(
        name="padding counter",
        unit=address_generator,
        bench=padding_bench,
        method=Method.INDUCTION,
        cycles=1,
        reach_cycles=6,
        bugs=(
            SeededBug(
                name="a zone of one position is thought longer",
                old="(entered & Mux(self.start, given_single, single)).any()",
                new="(entered & single).any()",
                cycles=6,
            ),
            SeededBug(
                name="behind the last zone comes the first, even if empty",
                old="again = Mux(following.any(), following, used)",
                new="again = Mux(following.any(), following, 1)",
                cycles=6,
            ),
        ),
    ),
    _generator(
        Load,
        SeededBug(
            name="the plane goes on before the padding behind a row",
            old="plane.step.eq(self._step & row.ends),",
            new="plane.step.eq(self._step & row.inside_ends),",
            cycles=10,
        ),
    ),
    _generator(
        Store,
        SeededBug(
            name="a beat is taken before there is room",
            old="action.valid.eq(busy & (action.pad | self.supply)),",
            new="action.valid.eq(busy),",
            cycles=6,
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_a_block_ends_with_its_last_vector(proof: Proof) -> None:
    check(proof)
