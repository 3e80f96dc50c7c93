"""A run in a few lines of text."""

from collections.abc import Iterator

import numpy as np

from tilewright.isa.memory import Engine
from tilewright.sim.result import SimResult


def summary(result: SimResult, *, macs: int | None = None) -> str:
    """What a run cost: cycles, what each engine did in them, bytes on the bus.

    Args:
        result: of the run.
        macs: useful products, for the use of the array.
    """
    return "\n".join(_lines(result, macs))


def _lines(result: SimResult, macs: int | None) -> Iterator[str]:
    yield f"cycles {result.cycles}, instructions {len(result.table)}"
    if macs is not None:
        yield f"utilization {result.utilization(macs):.1%} of {result.config.peak_macs} products a cycle"
    yield f"{'engine':8}{'started':>9}{'busy':>9}{'waiting':>9}{'stalled':>9}{'idle':>9}"
    for engine in Engine:
        yield _engine_line(result, engine)
    for name, count in result.bytes.items():
        yield f"{name} {count} ({count / result.cycles:.2f} a cycle)"
    if result.fault is not None:
        yield f"fault: {result.explain_fault()}"


def _engine_line(result: SimResult, engine: Engine) -> str:
    counts = result.engines[engine]
    started = int(np.count_nonzero((result.timeline.engine == engine) & (result.start >= 0)))
    shares = [count / result.cycles for count in (*counts, result.cycles - sum(counts))]
    return f"{engine.label:8}{started:9}" + "".join(f"{share:9.1%}" for share in shares)
