"""Sizes of products of matrices."""

from dataclasses import dataclass

from tilewright.compiler.targets.cpu.contraction import GROUP


@dataclass(frozen=True, kw_only=True)
class MatmulSizes:
    """c [rows, columns] = a [rows, depth] · b [depth, columns].

    Members:
        rows, depth, columns: sizes.
        is_float: float32; else a is uint8, b int8 and c int32.
    """

    rows: int
    depth: int
    columns: int
    is_float: bool

    @property
    def steps(self) -> int:
        """Steps of the reduction: groups of four for integers."""
        return self.depth if self.is_float else -(-self.depth // GROUP)
