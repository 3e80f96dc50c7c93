"""Functions that LLVM or the C library provides, declared where they are first used."""

from collections.abc import Sequence

from llvmlite import ir

from tilewright.compiler.targets.cpu.type import POINTER, element_of, lanes_of


def external(module: ir.Module, name: str, result: ir.Type, arguments: Sequence[ir.Type]) -> ir.Function:
    """The declaration of a function of another module."""
    if name in module.globals:
        return module.globals[name]
    return ir.Function(module, ir.FunctionType(result, arguments), name)


def call_intrinsic(
    builder: ir.IRBuilder, name: str, arguments: Sequence[ir.Value], result: ir.Type | None = None
) -> ir.Value:
    """llvm.{name} of the types of its arguments.

    Args:
        builder: where the call is written.
        name: without `llvm.` and types.
        arguments: the operands.
        result: its type; None for that of the first operand, and then the only one in the name.
    """
    of = arguments[0].type if result is None else result
    suffix = [mangled(of)] if result is None else [mangled(of), mangled(arguments[0].type)]
    full = ".".join(["llvm", name, *suffix])
    function = external(builder.module, full, of, [argument.type for argument in arguments])
    return builder.call(function, arguments)


def masked_load(
    builder: ir.IRBuilder, pointer: ir.Value, mask: ir.Value, zero: ir.Value, align: int
) -> ir.Value:
    """A vector of neighbours in memory where the mask holds, else 0; nothing else is read."""
    types = [POINTER, ir.IntType(32), mask.type, zero.type]
    function = external(builder.module, f"llvm.masked.load.{mangled(zero.type)}.p0", zero.type, types)
    return builder.call(function, [pointer, ir.Constant(types[1], align), mask, zero])


def any_of(builder: ir.IRBuilder, mask: ir.Value) -> ir.Value:
    """Whether a lane of a mask holds."""
    if lanes_of(mask) == 1:
        return mask
    name = f"llvm.vector.reduce.or.{mangled(mask.type)}"
    return builder.call(external(builder.module, name, element_of(mask), [mask.type]), [mask])


def mangled(of: ir.Type) -> str:
    """A type as the names of intrinsics spell it."""
    if isinstance(of, ir.VectorType):
        return f"v{of.count}{mangled(of.element)}"
    return {"float": "f32", "double": "f64"}.get(str(of), str(of))
