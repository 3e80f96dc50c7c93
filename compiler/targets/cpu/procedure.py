"""Procedures of loop programs as LLVM control flow: branches, loops that end where an element says so."""

from dataclasses import dataclass, field

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.statement import StatementEmitter
from tilewright.compiler.targets.cpu.type import INDEX_TYPE
from tilewright.compiler.targets.cpu.value import LaneValue
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import Break, Continue, For, IfThenElse, Procedure, Stmt, While


@dataclass(frozen=True)
class _Loop:
    """The targets of `continue` and `break`."""

    following: ir.Block
    end: ir.Block


@dataclass
class ProcedureEmitter(StatementEmitter):
    """Writes statements, and procedures among them; loops of procedures run in order, whatever their kind.

    Members:
        inside: whether the statement is in a procedure.
        loops: those of the procedure around the statement.
    """

    inside: bool = False
    loops: list[_Loop] = field(default_factory=list)

    def write(self, stmt: Stmt) -> None:
        """The statement and all inside of it; nothing behind a break or a continue."""
        if self.context.builder.block.is_terminated:
            return
        match stmt:
            case Procedure(body=body):
                self.inside = True
                self.write(body)
                self.inside = False
            case For() if self.inside:
                self._counted(stmt)
            case IfThenElse():
                self._if(stmt)
            case While():
                self._while(stmt)
            case Break() | Continue():
                loop = self.loops[-1]
                self.context.builder.branch(loop.end if isinstance(stmt, Break) else loop.following)
            case _:
                super().write(stmt)

    def _blocks(self, *names: str) -> list[ir.Block]:
        return [self.context.builder.append_basic_block(name) for name in names]

    def _holds(self, condition: Expr) -> ir.Value:
        return self._expressions.value(condition).ir

    def _body(self, stmt: Stmt, following: ir.Block) -> None:
        """A statement in the block where the builder is; then on to another one."""
        self.write(stmt)
        if not self.context.builder.block.is_terminated:
            self.context.builder.branch(following)

    def _if(self, stmt: IfThenElse) -> None:
        builder = self.context.builder
        then, otherwise, end = self._blocks("if.then", "if.else", "if.end")
        builder.cbranch(self._holds(stmt.condition), then, otherwise)
        builder.position_at_end(then)
        self._body(stmt.then, end)
        builder.position_at_end(otherwise)
        if stmt.otherwise is None:
            builder.branch(end)
        else:
            self._body(stmt.otherwise, end)
        builder.position_at_end(end)

    def _while(self, stmt: While) -> None:
        builder = self.context.builder
        head, body, end = self._blocks("while.head", "while.body", "while.end")
        builder.branch(head)
        builder.position_at_end(head)
        builder.cbranch(self._holds(stmt.condition), body, end)
        builder.position_at_end(body)
        self.loops.append(_Loop(head, end))
        self._body(stmt.body, head)
        self.loops.pop()
        builder.position_at_end(end)

    def _counted(self, loop: For) -> None:
        """For var = 0 … extent − 1, where the extent is read once."""
        builder, name = self.context.builder, loop.var.name
        head, body, following, end = self._blocks(
            *(f"{name}.{part}" for part in ("head", "body", "next", "end"))
        )
        extent, before = self.scalar(loop.extent), builder.block
        builder.branch(head)
        builder.position_at_end(head)
        counter = builder.phi(INDEX_TYPE)
        counter.add_incoming(ir.Constant(INDEX_TYPE, 0), before)
        builder.cbranch(builder.icmp_signed("<", counter, extent), body, end)
        builder.position_at_end(body)
        self.loops.append(_Loop(following, end))
        self.domain[name] = loop.extent
        with self.context.bound({name: LaneValue(counter, INDEX)}):
            self._body(loop.body, following)
        del self.domain[name]
        self.loops.pop()
        builder.position_at_end(following)
        counter.add_incoming(builder.add(counter, ir.Constant(INDEX_TYPE, 1)), following)
        builder.branch(head)
        builder.position_at_end(end)
