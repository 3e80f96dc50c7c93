"""Parts of a function as functions of their own: parallel loops, for a pool of threads to call."""

from collections.abc import Sequence

from llvmlite import ir

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.targets.cpu.function_context import FunctionContext
from tilewright.compiler.targets.cpu.intrinsic import external
from tilewright.compiler.targets.cpu.type import INDEX_TYPE, POINTER
from tilewright.compiler.targets.cpu.value import LaneValue

POOL_FUNCTION = "tilewright_parallel"
"""void (body, environment, extent): calls body(environment, begin, end) for ranges that cover the extent."""


def outline(
    context: FunctionContext, name: str, own: Sequence[ir.Type]
) -> tuple[FunctionContext, list[ir.Value]]:
    """The context of a new function that sees the variables and buffers of this one.

    Args:
        context: the function around.
        name: of the new one, which no other module sees.
        own: types of the arguments in front of what it captures.

    Returns:
        the function context, and the captured values.
    """
    module = context.function.module
    captured = [*context.pointers.values(), *(value.ir for value in context.variables.values())]
    types = [*own, *(value.type for value in captured)]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), types), module.get_unique_name(name))
    function.linkage = "internal"
    inner = FunctionContext.of(function)
    taken = iter(function.args[len(own) :])
    for buffer in context.pointers:
        inner.pointers[buffer] = next(taken)
        # As in the function around: no two buffers overlap.
        inner.pointers[buffer].add_attribute("noalias")
    inner.strides = dict(context.strides)
    inner.variables = {variable: LaneValue(next(taken), INDEX) for variable in context.variables}
    return inner, captured


def call_parallel(
    context: FunctionContext, function: ir.Function, captured: list[ir.Value], extent: ir.Value
) -> None:
    """Hand an outlined function to the pool, and wait until all iterations are done."""
    builder = context.builder
    record = ir.LiteralStructType([value.type for value in captured])
    environment = context.on_stack(record)
    for position, value in enumerate(captured):
        builder.store(value, _field(builder, environment, record, position))
    entered = _trampoline(function, record)
    types = [POINTER, POINTER, INDEX_TYPE]
    pool = external(builder.module, POOL_FUNCTION, ir.VoidType(), types)
    builder.call(pool, [entered, environment, extent])


def _trampoline(function: ir.Function, record: ir.LiteralStructType) -> ir.Function:
    """body(environment, begin, end) for a function that takes what is in the environment as arguments."""
    module = function.module
    of = ir.FunctionType(ir.VoidType(), [POINTER, INDEX_TYPE, INDEX_TYPE])
    entered = ir.Function(module, of, module.get_unique_name(f"{function.name}.enter"))
    entered.linkage = "internal"
    builder = ir.IRBuilder(entered.append_basic_block("entry"))
    environment, begin, end = entered.args
    fields = [
        builder.load(_field(builder, environment, record, position), typ=of)
        for position, of in enumerate(record.elements)
    ]
    builder.call(function, [begin, end, *fields])
    builder.ret_void()
    return entered


def _field(builder: ir.IRBuilder, base: ir.Value, record: ir.LiteralStructType, position: int) -> ir.Value:
    indices = [ir.Constant(ir.IntType(32), number) for number in (0, position)]
    return builder.gep(base, indices, inbounds=True, source_etype=record)
