"""Boards, each used by one process of this machine at a time."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from tilewright.tune.error import TuneError

PREFIX = "board:"
"""Of the resource that a board is."""
_POLL_SECONDS = 0.02


@contextmanager
def hold(name: str, patience_seconds: float) -> Iterator[None]:
    """Have a board for as long as the context lasts; it is free again when this process ends, however.

    Args:
        name: of the board.
        patience_seconds: to wait for who has it.

    Raises:
        TuneError: if it is still in use then.
    """
    # The kernel gives an abstract address to one socket only, and takes it back itself: no file stays behind.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as holder:
        give_up = monotonic() + patience_seconds
        while not _is_bound(holder, f"\0tilewright/{PREFIX}{name}"):
            if monotonic() > give_up:
                raise TuneError(
                    f"board {name} was used by another process of this machine for {patience_seconds:g} s"
                )
            sleep(_POLL_SECONDS)
        yield


def _is_bound(holder: socket.socket, address: str) -> bool:
    try:
        holder.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
