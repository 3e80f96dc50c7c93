"""What runs where, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One node of a network.

    Members:
        label: of the model's node.
        operator: what it became.
        target: who runs it.
        kernel: the number of the step that it is part of.
        macs: multiply-accumulates of a sample; None where they depend on sizes that are not known.
        reason: why it does not run on the accelerator; "" if it does.
    """

    label: str
    operator: str
    target: str
    kernel: int
    macs: int | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What runs where, and why.

    Members:
        placements: of all operators, in the order of the steps.
        programs: how many steps run on the accelerator.
        kernels: how many steps there are.
    """

    placements: tuple[Placement, ...]
    programs: int
    kernels: int

    def share(self, target: str) -> float:
        """Of the multiply-accumulates of a sample that are known, those on a target; 0 if there are none."""
        total = sum(each.macs or 0 for each in self.placements)
        own = sum(each.macs or 0 for each in self.placements if each.target == target)
        return own / total if total else 0.0

    def to_json(self) -> Mapping[str, Any]:
        """What `json.dumps` can write."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        rows, before = list[tuple[str, ...]](), ""
        for each in self.placements:
            reason = "as above" if each.reason and each.reason == before else each.reason
            macs = "?" if each.macs is None else f"{each.macs:,}"
            rows.append((str(each.kernel), each.target, each.label, each.operator, macs, reason))
            before = each.reason
        header = ("step", "target", "label", "operator", "macs", "why not on the accelerator")
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        for row in (header, tuple("-" * width for width in widths), *rows):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
