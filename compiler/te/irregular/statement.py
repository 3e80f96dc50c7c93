"""Python statements as statements of loop programs."""

import ast
import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.expression import ExpressionParser
from tilewright.compiler.te.irregular.python import LOOPS, allocate, output
from tilewright.compiler.te.irregular.scope import (
    Broken,
    Definition,
    FunctionScope,
    KnownError,
    ProgramBuilder,
    element,
    sequence,
)
from tilewright.compiler.te.irregular.unsupported import (
    UnsupportedConstructError,
    assigned_names,
    is_refused,
    refuse_constructs,
)
from tilewright.compiler.te.irregular.value import (
    Local,
    PythonValue,
    RuntimeNumber,
    Static,
    TensorValue,
    converted,
    number_of,
)
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr, Select, Var
from tilewright.compiler.tir.simplify import simplify
from tilewright.compiler.tir.stmt import Break, Continue, For, IfThenElse, LoopKind, While
from tilewright.compiler.tir.walk import constant, nodes

_NOTHING = "the function gives nothing: return a value at its end, or call it in a statement of its own"
_YES, _NO = Const(True, DType.BOOL), Const(False, DType.BOOL)


def write(
    definition: Definition, arguments: Sequence[PythonValue], program: ProgramBuilder
) -> PythonValue | None:
    """The statements of a function, written into the program; what it returns, if it returns anything.

    Raises:
        UnsupportedConstructError: if it cannot be called like that.
        KnownError: if something in it was refused; the report says what.
    """
    if definition in program.inlining:
        raise UnsupportedConstructError(f"{definition.name} must not call itself: use a loop")
    known = len(program.report.locations)
    program.inlining.append(definition)
    try:
        refuse_constructs(definition.source, program.report)
        result = _StatementParser.of(definition, arguments, program).function()
    finally:
        program.inlining.pop()
    if len(program.report.locations) > known:
        raise KnownError
    return result


@dataclass
class _StatementParser:
    """Writes statements of one function."""

    program: ProgramBuilder
    scope: FunctionScope
    depth: int = 0
    """Loops around."""

    @staticmethod
    def of(
        definition: Definition, arguments: Sequence[PythonValue], program: ProgramBuilder
    ) -> "_StatementParser":
        function = definition.function
        try:
            bound = inspect.signature(function).bind(*arguments)
        except TypeError as error:
            raise UnsupportedConstructError(
                f"{definition.name} must be given other arguments: {error}"
            ) from None
        for name, parameter in inspect.signature(function).parameters.items():
            if name not in bound.arguments:
                bound.arguments[name] = Static(parameter.default)
        body = definition.source.body
        nodes = (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.Name))
        counts = Counter(node.id for node in nodes if isinstance(node.ctx, ast.Store))
        captured = inspect.getclosurevars(function)
        known = {**captured.builtins, **captured.globals, **captured.nonlocals}
        writer = _StatementParser(program, FunctionScope(definition, {}, counts, known))
        writer._bind_parameters(bound.arguments)
        return writer

    def _bind_parameters(self, arguments: dict[str, PythonValue]) -> None:
        inner = len(self.program.inlining) > 1
        only_returns = len(self.scope.definition.source.body) == 1
        for name, value in arguments.items():
            if self.scope.counts[name] and not isinstance(value, TensorValue | tuple):
                # It is assigned to, so it is a variable from the start.
                self.scope.counts[name] += 1
                self.scope.bind(name, value, self.program)
            else:
                pin = inner and not only_returns
                self.scope.names[name] = self.program.pinned(value, name) if pin else value

    @property
    def expressions(self) -> ExpressionParser:
        """The writer of expressions in this function."""
        return ExpressionParser(self.program, self.scope, self._inlined)

    def function(self) -> PythonValue | None:
        """All statements of the function; what it returns."""
        *body, last = self.scope.definition.source.body
        if not isinstance(last, ast.Return) or last.value is None:
            self.all([*body, last])
            return None
        self.all(body)
        with self.noting(last):
            return self.expressions.value(last.value)
        return None

    @contextmanager
    def noting(self, node: ast.stmt) -> Iterator[None]:
        """Note constructs refused inside for a statement; the names that it assigns become `Broken`."""
        try:
            yield
        except UnsupportedConstructError as error:
            self.program.report.add(self.scope.definition.source, node, str(error))
            self._break(node)
        except KnownError:
            self._break(node)

    def _break(self, node: ast.stmt) -> None:
        for name in assigned_names([node]):
            self.scope.names[name] = Broken()

    def all(self, statements: Sequence[ast.stmt]) -> None:
        """One after the other; what is refused of one does not keep the others from being looked at."""
        for statement in statements:
            if is_refused(statement):
                self._break(statement)
                continue
            with self.noting(statement):
                self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Expr(value=ast.Call() as call):
                self._called(call)
            case ast.Assign(targets=[target], value=value):
                self._assign(target, value)
            case ast.AugAssign():
                self._augment(node)
            case ast.For():
                self._for(node)
            case ast.While():
                self._while(node)
            case ast.If():
                self._if(node)
            case ast.Break() | ast.Continue():
                self.program.emit(Break() if isinstance(node, ast.Break) else Continue())
            case ast.Return():
                raise UnsupportedConstructError(
                    "return must be the last statement: assign the result, and leave loops with break"
                )
            case ast.Assign():
                raise UnsupportedConstructError("assign one target at a time")
            case _:
                raise UnsupportedConstructError(
                    "this has no meaning in a loop program: use assignments, for, while, if and calls"
                )

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if self._made(target, value):
            return
        if isinstance(value, ast.Call):
            result = self._called(value)
            if result is None:
                raise UnsupportedConstructError(_NOTHING)
        else:
            result = self.expressions.value(value)
        self._give(target, result)

    def _give(self, target: ast.expr, value: PythonValue) -> None:
        match target:
            case ast.Name(id=name):
                self.scope.bind(name, value, self.program)
            case ast.Subscript():
                self._store(target, number_of(value))
            case ast.Tuple(elts=targets):
                self._give_each(targets, value)
            case _:
                raise UnsupportedConstructError(
                    "the target must be a variable, an element of a tensor, or several of these"
                )

    def _give_each(self, targets: Sequence[ast.expr], value: PythonValue) -> None:
        """All values as they are before the first assignment."""
        parts: tuple[PythonValue, ...] = ()
        if isinstance(value, tuple):
            parts = value
        elif isinstance(value, Static) and isinstance(value.value, tuple):
            parts = tuple(Static(part) for part in value.value)
        if len(parts) != len(targets):
            raise UnsupportedConstructError(f"there must be {len(targets)} values for as many targets")
        kept = [self.program.pinned(part, "kept") for part in parts]
        for target, part in zip(targets, kept, strict=True):
            self._give(target, part)

    def _store(
        self, target: ast.Subscript, number: RuntimeNumber, indices: tuple[Expr, ...] | None = None
    ) -> None:
        array = self._array(target)
        at = self.expressions.indices(array, target.slice) if indices is None else indices
        self.program.store(array.buffer, at, converted(number, array.buffer.dtype).expr)

    def _array(self, target: ast.Subscript) -> TensorValue:
        array = self.expressions.value(target.value)
        if not isinstance(array, TensorValue):
            raise UnsupportedConstructError("only elements of tensors are assigned to")
        if array.buffer.name in self.program.inputs:
            raise UnsupportedConstructError(
                f"{array.buffer.name} is given and must not be changed: copy it into te.allocate(…)"
            )
        return array

    def _augment(self, node: ast.AugAssign) -> None:
        expressions = self.expressions
        if isinstance(node.target, ast.Subscript):
            array = self._array(node.target)
            indices = expressions.indices(array, node.target.slice)
            result = expressions.operation(node.op, element(array, indices), expressions.value(node.value))
            self._store(node.target, number_of(result), indices)
            return
        assert isinstance(node.target, ast.Name)
        old = self.scope.value(node.target.id)
        self._give(node.target, expressions.operation(node.op, old, expressions.value(node.value)))

    def _made(self, target: ast.expr, value: ast.expr) -> bool:
        """Whether a tensor was made: te.allocate or te.output, under the name that it is given to."""
        if not isinstance(value, ast.Call):
            return False
        called = self.expressions.value(value.func)
        function = called.value if isinstance(called, Static) else None
        if function not in (allocate, output):
            return False
        if not isinstance(target, ast.Name) or self.scope.counts[target.id] != 1:
            raise UnsupportedConstructError("a new tensor must be given to a name of its own, once")
        shape, dtype = self._type(value)
        if function is allocate:
            buffer = Buffer(self.program.fresh(target.id), tuple(map(Const, shape)), dtype)
            self.program.buffers.append(buffer)
        else:
            buffer = self._output(target.id, shape, dtype)
        self.scope.names[target.id] = TensorValue(buffer)
        return True

    def _type(self, call: ast.Call) -> tuple[tuple[int, ...], DType]:
        parts = [self.expressions.value(argument) for argument in call.args]
        known = [part.value for part in parts if isinstance(part, Static)]
        if call.keywords or len(known) != 2 or len(parts) != 2:
            raise UnsupportedConstructError(
                "a new tensor must have a shape and a type that are known now, as in te.output((4, 2), x)"
            )
        given = known[0] if isinstance(known[0], tuple) else (known[0],)
        if not all(isinstance(extent, int) and extent >= 1 for extent in given):
            raise UnsupportedConstructError(f"extents must be positive integers, not {known[0]!r}")
        try:
            dtype = DType.of(known[1])  # type: ignore[arg-type]  # what it names is checked
        except (TypeError, ValueError):
            raise UnsupportedConstructError(
                f"the type must be one of {', '.join(DType)}, not {known[1]!r}"
            ) from None
        return tuple(given), dtype

    def _output(self, name: str, shape: tuple[int, ...], dtype: DType) -> Buffer:
        program = self.program
        if len(program.inlining) > 1:
            raise UnsupportedConstructError(
                "outputs are made by the outer function: use te.allocate, or take it as an argument"
            )
        if name not in program.returned or self.depth:
            raise UnsupportedConstructError(
                f"{name} must be made outside of loops, and returned at the end: else use te.allocate"
            )
        position = program.returned.index(name)
        own = f"{program.name}_{position}" if len(program.returned) > 1 else program.name
        buffer = Buffer(own, tuple(map(Const, shape)), dtype)
        program.outputs[name] = buffer
        return buffer

    def _called(self, call: ast.Call) -> PythonValue | None:
        """A call that is a whole statement, or all that is assigned: it may write tensors."""
        expressions = self.expressions
        called = expressions.value(call.func)
        if isinstance(called, Static) and isinstance(called.value, Definition):
            if call.keywords:
                raise UnsupportedConstructError("arguments must be given by position")
            arguments = [expressions.value(argument) for argument in call.args]
            return write(called.value, arguments, self.program)
        return expressions.value(call)

    def _inlined(self, definition: Definition, arguments: Sequence[PythonValue]) -> PythonValue:
        """A call inside of an expression: it must write no tensor that others see."""
        program = self.program
        own, written = len(program.buffers), set(program.written)
        program.written.clear()
        result = write(definition, arguments, program)
        made = {buffer.name for buffer in program.buffers[own:]}
        changed = program.written - made
        program.written |= written
        if changed:
            raise UnsupportedConstructError(
                f"{definition.name} changes {min(changed)}: call it in a statement of its own"
            )
        if result is None:
            raise UnsupportedConstructError(_NOTHING)
        only_returns = len(definition.source.body) == 1
        return result if only_returns else program.pinned(result, definition.name)

    def _if(self, node: ast.If) -> None:
        condition = self.expressions.condition(node.test)
        if isinstance(condition, Const):
            self.all(node.body if condition.value else node.orelse)
            return
        with self.program.body() as then:
            self.all(node.body)
        with self.program.body() as otherwise:
            self.all(node.orelse)
        inner = sequence(otherwise) if otherwise else None
        self.program.emit(IfThenElse(condition, sequence(then), inner))

    def _while(self, node: ast.While) -> None:
        if node.orelse:
            raise UnsupportedConstructError(
                "there is no else of a loop: keep in a variable whether it was left"
            )
        with self.program.body() as before:
            condition = self.expressions.condition(node.test)
        self.depth += 1
        with self.program.body() as body:
            self.all(node.body)
        self.depth -= 1
        if before:
            # What the condition needs is computed anew in each iteration.
            leave = IfThenElse(Select(condition, _NO, _YES), Break())
            body, condition = [*before, leave, *body], _YES
        self.program.emit(While(condition, sequence(body)))

    def _for(self, node: ast.For) -> None:
        if node.orelse:
            raise UnsupportedConstructError(
                "there is no else of a loop: keep in a variable whether it was left"
            )
        if not isinstance(node.target, ast.Name) or not isinstance(node.iter, ast.Call):
            raise UnsupportedConstructError("a loop must be over range(…): index with its variable")
        name = node.target.id
        kind, (start, stop, step) = self._range(node.iter)
        self._check_loop_name(name)
        var = Var(self.program.fresh(name))
        trips = stop - start if step > 0 else start - stop
        extent = trips if abs(step) == 1 else (trips + (abs(step) - 1)) // abs(step)
        value = RuntimeNumber(simplify(start + var * step), weak=True)
        with self.program.body() as body, self._loop_variable(name, value):
            self.all(node.body)
        self.program.emit(For(var, _at_least_0(simplify(extent)), sequence(body), kind))

    @contextmanager
    def _loop_variable(self, name: str, value: RuntimeNumber) -> Iterator[None]:
        """The name of a loop's variable inside of it; where it is a variable already, it gets each value."""
        self.depth += 1
        if isinstance(self.scope.names.get(name), Local):
            self.scope.bind(name, value, self.program)
            yield
        else:
            self.scope.names[name] = value
            self.scope.loops.add(name)
            yield
            self.scope.loops.remove(name)
            del self.scope.names[name]
        self.depth -= 1

    def _check_loop_name(self, name: str) -> None:
        if name in self.scope.loops or isinstance(self.scope.names.get(name), TensorValue):
            raise UnsupportedConstructError(
                f"{name} has a meaning already: give the loop's variable another name"
            )

    def _range(self, call: ast.Call) -> tuple[LoopKind, tuple[Expr, Expr, int]]:
        called = self.expressions.value(call.func)
        kind = LOOPS.get(called.value) if isinstance(called, Static) and callable(called.value) else None
        if kind is None:
            raise UnsupportedConstructError(
                "a loop must be over range(…), te.serial, te.unroll, te.parallel or te.vectorise"
            )
        parts = [self.expressions.number(argument) for argument in call.args]
        if not 1 <= len(parts) <= 3 or call.keywords:
            raise UnsupportedConstructError("a range must have one to three bounds")
        if any(part.dtype.is_float or part.dtype is DType.BOOL for part in parts):
            raise UnsupportedConstructError("the bounds of a range must be integers: use int(…)")
        # A bound is read once: what the loop assigns does not change how often it runs.
        bounds = [self._bound(part) for part in parts]
        start, stop = (Const(0), bounds[0]) if len(bounds) == 1 else bounds[:2]
        step = bounds[2] if len(bounds) == 3 else Const(1)
        if not isinstance(step, Const) or not isinstance(step.value, int) or not step.value:
            raise UnsupportedConstructError("the step of a range must be known, and not 0")
        return kind, (start, stop, step.value)

    def _bound(self, number: RuntimeNumber) -> Expr:
        wide = RuntimeNumber(converted(RuntimeNumber(number.expr, True), INDEX).expr, True)
        return wide.expr if _is_fixed(wide.expr) else self.program.kept(wide, "bound").expr


def _at_least_0(extent: Expr) -> Expr:
    """A known extent, of which a negative one runs as often as 0."""
    known = constant(extent)
    return extent if known is None else Const(max(known, 0))


def _is_fixed(expr: Expr) -> bool:
    """Whether an expression is the same however elements change."""
    return not any(isinstance(node, BufferLoad) for node in nodes(expr))
