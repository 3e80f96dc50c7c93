"""Beats of a store wait in front of the bus: none is lost, none changes, there is room for all."""

from types import ModuleType

import pytest
from amaranth import Cat
from amaranth.lib import data

from formal.proof import Method, Proof, SeededBug, cases, check
from formal.proof_bench import ProofBench
from tilewright.hw import store_data
from tilewright.isa.config import PRESETS
from tilewright.isa.timing import STORE_BEAT, STORE_BEATS


def data_bench(unit: ModuleType) -> ProofBench:
    """Actions come only while there is room; the bus takes beats when it likes."""
    bench = ProofBench()
    queues = bench.cut(unit, "Queue")
    dut = unit.StoreData(PRESETS["tiny"])
    bench.add("dut", dut)
    (queue,) = queues
    action = dut.action
    bench.assume(~action.valid | dut.room)
    waiting = bench.count(queue.push, less=queue.pop, bits=4, name="waiting")
    # The queue's own proof.
    bench.assume((queue.valid == (waiting != 0)) & (queue.room == (waiting < STORE_BEATS)))
    stayed = bench.past(queue.valid & ~queue.pop, name="stayed")
    bench.assume(~stayed | (queue.head.as_value() == bench.past(queue.head.as_value())))
    taken = dut.wvalid & dut.wready
    under_way = bench.count(action.valid, less=taken, bits=4, name="under_way")
    bench.claim("a beat that arrives finds room", queue.room, when=queue.push)
    bench.claim(
        "beats from their actions to the bus are no more than there is room for", under_way <= STORE_BEATS
    )
    bench.claim("there is room while they are fewer", dut.room == (under_way < STORE_BEATS))
    bench.stable("a beat on the bus", dut.wvalid, dut.wready, dut.wdata, dut.wstrb, dut.wlast)
    pasts, lasts = [action.valid], [dut.last]
    for age in range(1, STORE_BEAT):
        pasts.append(bench.past(pasts[-1], name=f"action_{age}"))
        lasts.append(bench.past(lasts[-1], name=f"last_{age}"))
        stage = data.View(dut.info, bench.inner(dut, f"info_{age}"))
        same = (stage.valid == pasts[-1]) & (stage.last == lasts[-1])
        bench.claim(f"an action of {age} cycles ago is in its stage", same)
    arrives = pasts[-1]
    bench.claim("every action becomes a beat, a fixed number of cycles later", queue.push == arrives)
    bench.claim("it is the last of its burst if its action was", queue.item.last == lasts[-1], when=arrives)
    bench.claim(
        "all beats are in the pipeline or wait", under_way == waiting + sum(pasts[2:], start=pasts[1])
    )
    bench.claim("the room is counted", bench.inner(dut, "free") == STORE_BEATS - under_way)
    bench.reach("there is no room", ~dut.room)
    bench.reach("a last beat is taken", taken & dut.wlast & Cat(pasts).any())
    return bench


PROOFS = (
    Proof(
        name="store data",
        unit=store_data,
        bench=data_bench,
        method=Method.INDUCTION,
        cycles=2,
        reach_cycles=12,
        bugs=(
            SeededBug(
                name="room for one beat more than the queue has",
                old='Signal(range(STORE_BEATS + 1), name="free", init=STORE_BEATS)',
                new='Signal(range(STORE_BEATS + 2), name="free", init=STORE_BEATS + 1)',
                cycles=16,
            ),
        ),
    ),
)


@pytest.mark.parametrize("proof", cases(PROOFS))
def test_no_beat_is_lost_or_changed(proof: Proof) -> None:
    check(proof)
