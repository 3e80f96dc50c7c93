"""How those who wait are told what is being done: one protocol, from the compiler to the command line."""

from collections.abc import Callable
from typing import Protocol

Share = Callable[[int, int], object]
"""Is told how many of how many parts of a step are done."""


class Progress(Protocol):
    """Is told what is being done, as often as there is news."""

    def __call__(self, text: str, share: float | None = None, /) -> object:
        """Take the news.

        Args:
            text: what is being done.
            share: how much of that is done, from 0 to 1; None: nobody knows.
        """


def unheard(text: str, share: float | None = None, /) -> None:
    """Where nobody asks."""


def share_of(progress: Progress, text: str) -> Share:
    """Tells of one step, part by part."""
    return lambda done, count: progress(text, done / count if count else 1.0)
