"""A nest as an intrinsic sees it: loops around assignments, their indices simple sums of loop variables."""

from dataclasses import dataclass, replace

from tilewright.compiler.targets.accel.intrinsic.error import MismatchError, Progress
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, Scope
from tilewright.compiler.tir.expr import Binary, Expr, Load
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import Allocate, Block, For, Intrinsic, IterKind, Seq, Stmt, Store
from tilewright.compiler.tir.walk import block_indices, nodes, substitute, variables


@dataclass(frozen=True)
class Loop:
    """A loop variable with its extent, an expression in outer variables."""

    name: str
    extent: Expr


@dataclass(frozen=True)
class Statement:
    """One assignment with the loops of the nest around it.

    Members:
        name: of its block.
        loops: outermost first.
        store: what it assigns, in loop variables.
        init: the value that a reduction starts with.
        reduced: the reduced indices, in loop variables: a reduction starts where all are 0.
    """

    name: str
    loops: tuple[Loop, ...]
    store: Store
    init: Expr | None = None
    reduced: tuple[Affine, ...] = ()

    def added(self) -> tuple[Binary, Expr] | None:
        """The value, if it combines what was there with an item, and the item."""
        old = Load(self.store.buffer, self.store.indices)
        match self.store.value:
            case Binary(a=a, b=b) as value if old in (a, b):
                return value, b if a == old else a
        return None


@dataclass(frozen=True)
class Nest:
    """The assignments of a nest in order; all but the last are to `lane` buffers."""

    statements: tuple[Statement, ...]

    @property
    def last(self) -> Statement:
        """What the nest is for."""
        return self.statements[-1]

    @property
    def only(self) -> Statement:
        """The statement of a nest that has one.

        Raises:
            MismatchError: if there are several.
        """
        if len(self.statements) > 1:
            raise MismatchError(
                f"one assignment is expected, not {len(self.statements)}", Progress.EXPRESSION
            )
        return self.last

    def reads(self) -> frozenset[Scope]:
        """The scopes that are read, `lane` aside."""
        values = (statement.store.value for statement in self.statements)
        found = {node.buffer.scope for value in values for node in nodes(value) if isinstance(node, Load)}
        return frozenset(found - {Scope.LANE})

    def without(self, name: str) -> "Nest":
        """The nest with a loop outside."""
        return Nest(
            tuple(
                replace(statement, loops=tuple(loop for loop in statement.loops if loop.name != name))
                for statement in self.statements
            )
        )


def parse(stmt: Stmt, domain: Domain) -> Nest:
    """The nest that a statement is.

    Args:
        stmt: loops, lane buffers and blocks.
        domain: the loops around, outermost first.

    Raises:
        MismatchError: if it is no nest of one result.
    """
    found = _statements(stmt, domain, ())
    *before, last = found
    if last.store.buffer.scope is Scope.LANE or any(s.store.buffer.scope is not Scope.LANE for s in before):
        names = ", ".join(repr(s.name) for s in found)
        text = f"several results, of blocks {names}: an instruction has one, what is before lies in lanes"
        raise MismatchError(text, Progress.EXPRESSION)
    return Nest(tuple(found))


def _statements(stmt: Stmt, domain: Domain, loops: tuple[Loop, ...]) -> list[Statement]:
    match stmt:
        case For(var=var, extent=extent, body=body):
            loop = Loop(var.name, extent)
            return _statements(body, {**domain, var.name: extent}, (*loops, loop))
        case Seq(body=body):
            return [statement for part in body for statement in _statements(part, domain, loops)]
        case Allocate(buffer=Buffer(scope=Scope.LANE), body=body):
            return _statements(body, domain, loops)
        case Block():
            return [_of_block(stmt, domain, loops)]
        case Store():
            return [Statement(stmt.buffer.name, loops, _simple(stmt, domain))]
        case Allocate(buffer=buffer):
            text = (
                f"buffer {buffer.name!r} of scope {buffer.scope} inside: only lanes exist in an instruction"
            )
            raise MismatchError(text, Progress.EXPRESSION)
        case Intrinsic(name=name):
            raise MismatchError(f"intrinsic {name!r} inside of another", Progress.EXPRESSION)
    raise MismatchError(f"a statement that no instruction has: {stmt!r}", Progress.EXPRESSION)


def _of_block(block: Block, domain: Domain, loops: tuple[Loop, ...]) -> Statement:
    values = block_indices(block)
    indices = tuple(substitute(index, values) for index in block.body.indices)
    store = _simple(Store(block.body.buffer, indices, substitute(block.body.value, values)), domain)
    reduced = tuple(Affine.of(simplify(it.value, domain)) for it in block.iters if it.kind is IterKind.REDUCE)
    init = None if block.init is None else block.init.value
    return Statement(block.name, loops, store, init, reduced)


def _simple(store: Store, domain: Domain) -> Store:
    indices = tuple(simplify(index, domain) for index in store.indices)
    return Store(store.buffer, indices, simplify(store.value, domain))


def check_rectangular(loops: tuple[Loop, ...]) -> None:
    """Refuse loops whose extent depends on another of them.

    Raises:
        MismatchError: naming the loop.
    """
    names = {loop.name for loop in loops}
    for loop in loops:
        inner = variables(loop.extent) & names
        if inner:
            text = (
                f"the extent of loop {loop.name!r} depends on {sorted(inner)}, loops of the same instruction"
            )
            raise MismatchError(text, Progress.ACCESS)
