"""The table of intrinsics: chosen for a loop nest by the scopes that it writes and reads."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.load import LoadIntrinsic
from tilewright.compiler.targets.accel.intrinsic.matrix import MatrixIntrinsic
from tilewright.compiler.targets.accel.intrinsic.nest import Nest, parse
from tilewright.compiler.targets.accel.intrinsic.store import StoreIntrinsic
from tilewright.compiler.targets.accel.intrinsic.vector import VectorIntrinsic
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import Stmt

INTRINSICS: Mapping[str, type[Intrinsic]] = MappingProxyType(
    {kind.name: kind for kind in (LoadIntrinsic, StoreIntrinsic, MatrixIntrinsic, VectorIntrinsic)}
)
"""The intrinsics by name."""


def intrinsic_of(nest: Nest) -> type[Intrinsic]:
    """The intrinsic whose instruction has these scopes.

    Raises:
        MismatchError: if none has.
    """
    written, read = nest.last.store.buffer.scope, nest.reads()
    if len(nest.statements) > 1:
        return VectorIntrinsic
    if written is not MemoryScope.GLOBAL and (MemoryScope.GLOBAL in read or not read):
        return LoadIntrinsic
    if written is MemoryScope.GLOBAL and MemoryScope.GLOBAL not in read:
        return StoreIntrinsic
    if MemoryScope.WEIGHT in read:
        return MatrixIntrinsic
    if written in (MemoryScope.ACTIVATION, MemoryScope.ACCUMULATOR, MemoryScope.TABLE):
        return VectorIntrinsic
    text = f"no instruction writes {written} memory from {', '.join(sorted(read)) or 'nothing'}"
    raise MismatchError(text, MatchProgress.EXPRESSION)


def matched(name: str, stmt: Stmt, domain: Domain, limits: Limits) -> Intrinsic:
    """A statement as an intrinsic.

    Args:
        name: of the intrinsic.
        stmt: the loop nest.
        domain: the loops around, outermost first.
        limits: of the machine.

    Raises:
        MismatchError: if it is not of its form.
    """
    return _matched(name, stmt, tuple(domain.items()), limits)


@lru_cache(maxsize=256)
def _matched(name: str, stmt: Stmt, domain: tuple[tuple[str, Expr], ...], limits: Limits) -> Intrinsic:
    """`matched`, once: what is tensorised is enumerated next, with the patterns that were found."""
    return INTRINSICS[name](parse(stmt, dict(domain)), limits)
