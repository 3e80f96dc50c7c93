"""Recursion over regions inside of regions, however deep."""

import sys
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_SHALLOW = 40
"""Nested regions that the usual stack suffices for."""
_FRAMES = 60
"""Python stack frames for each nested region, at most."""
_STACK_BYTES = 1 << 29
"""Stack size of the thread for deep functions; only the used part takes memory."""


def deeply(depth: int, work: Callable[[], T]) -> T:
    """The result of `work`, which recurses into `depth` nested regions, run in a thread with stack enough."""
    if depth <= _SHALLOW:
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  # it is raised again in the caller's thread
            errors.append(error)

    limit, stack = sys.getrecursionlimit(), threading.stack_size(_STACK_BYTES)
    try:
        sys.setrecursionlimit(max(limit, depth * _FRAMES + 1000))
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(stack)
        sys.setrecursionlimit(limit)
    if errors:
        raise errors[0]
    return results[0]
