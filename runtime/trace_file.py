"""Traces in the format that a file's name asks for."""

import os
from collections.abc import Sequence

from tilewright.runtime.perfetto import Band, perfetto_trace
from tilewright.runtime.trace import ProgramRun, timelines_json

PERFETTO_SUFFIX = ".pftrace"


def trace_file(
    path: str | os.PathLike[str], runs: Sequence[ProgramRun], layers: Sequence[Band] = ()
) -> bytes:
    """The contents of a trace: Perfetto's format for names that end in `PERFETTO_SUFFIX`, else Chrome's.

    Args:
        path: of the file.
        runs: programs that ran one after the other.
        layers: as for `perfetto_trace`; Chrome's format has none.
    """
    if os.fspath(path).endswith(PERFETTO_SUFFIX):
        return perfetto_trace(runs, layers)
    return timelines_json(runs)
