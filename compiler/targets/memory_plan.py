"""Where tensors lie in one memory: those that live at different times share bytes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorLiveRange:
    """A tensor and the steps, by number, from the first to the last that uses it."""

    name: str
    size_bytes: int
    first: int
    last: int

    def meets(self, other: "TensorLiveRange") -> bool:
        """Whether both live during one step."""
        return self.first <= other.last and other.first <= self.last


def plan_memory(lifetimes: Sequence[TensorLiveRange], alignment_bytes: int) -> tuple[dict[str, int], int]:
    """The offset of each tensor, a multiple of `alignment_bytes`, and the bytes of all together.

    The largest comes first, and each takes the lowest place that is free while it lives.
    """
    placed: list[tuple[TensorLiveRange, int]] = []
    for tensor in sorted(lifetimes, key=lambda tensor: -tensor.size_bytes):
        ranges = [(start, start + other.size_bytes) for other, start in placed if other.meets(tensor)]
        placed.append((tensor, _lowest_gap(sorted(ranges), tensor.size_bytes, alignment_bytes)))
    size_bytes = max((start + tensor.size_bytes for tensor, start in placed), default=0)
    return {tensor.name: start for tensor, start in placed}, size_bytes


def _lowest_gap(ranges: Sequence[tuple[int, int]], size_bytes: int, alignment_bytes: int) -> int:
    """The lowest multiple of the alignment from which `size_bytes` bytes miss all ranges, which ascend."""
    offset = 0
    for start, stop in ranges:
        if offset + size_bytes <= start:
            break
        offset = max(offset, -(-stop // alignment_bytes) * alignment_bytes)
    return offset
