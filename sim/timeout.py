"""When the bus has been silent for too long: the time-out of docs/machine.md, from a log of all bursts."""

import numpy as np
from numpy.typing import NDArray

from tilewright.sim.record import NEVER, Records

_Cycles = NDArray[np.int64]


def first_timeout(log: Records, timeout: int) -> int:
    """The first cycle after `timeout` cycles in a row with something pending and no handshake, or NEVER.

    Args:
        log: the bursts, `BURST[k]`.
        timeout: cycles, above 0.
    """
    if not len(log):
        return int(NEVER)
    begins, ends = _handshakes(log)
    # The gaps: after the handshakes up to one cycle, before those from another cycle on.
    after = np.concatenate([[0], np.maximum.accumulate(ends) + 1])
    before = np.concatenate([begins, [NEVER]])
    counted_from = np.maximum(after, _pending_from(log, after))
    due = counted_from + timeout
    late = due[due <= before]
    return int(min(late[late < NEVER], default=NEVER))


def _handshakes(log: Records) -> tuple[_Cycles, _Cycles]:
    """First and last cycle of each run of handshakes: addresses, beats, answers; in their order."""
    beats = log["first"] <= log["last"]
    begins = np.concatenate([log["accepted"], log["first"][beats], log["answered"]])
    ends = np.concatenate([log["accepted"], log["last"][beats], log["answered"]])
    real = begins < NEVER
    order = np.argsort(begins[real], kind="stable")
    return begins[real][order], ends[real][order]


def _pending_from(log: Records, cycles: _Cycles) -> _Cycles:
    """For each cycle: the first one from it on in which something is pending.

    Whatever is pending stays so until a handshake, so that in a gap this is all there is to know.
    """
    order = np.argsort(log["pending"], kind="stable")
    pending, answered = log["pending"][order], np.maximum.accumulate(log["answered"][order])
    begun = np.searchsorted(pending, cycles, side="right")
    still = (begun > 0) & (answered[np.maximum(begun, 1) - 1] >= cycles)
    following = np.append(pending, NEVER)[begun]
    return np.where(still, cycles, following)
