"""Functions for sizes that are numbers."""

from collections.abc import Mapping

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.size import AnySize


def specialise(function: Function, sizes: Mapping[str, AnySize]) -> Function:
    """The function with sizes replaced by name; its parameters keep their names, and all types are inferred.

    Args:
        function: any.
        sizes: numbers, or other sizes, for names in the types of its parameters.

    Raises:
        IrError: if a name is none of its sizes, or an operator has no meaning with these numbers.
    """
    unknown = [name for name in sizes if name not in function.size_names]
    if unknown:
        known = ", ".join(function.size_names) or "none"
        raise IrError(f"sizes of {function.name!r} must be of {known}, not {unknown[0]!r}")
    b = Builder(function.name)
    parameters = [b.parameter(value.name, value.type.evaluate(sizes)) for value in function.parameters]
    return b.function(*inline(b, function, parameters, sizes=sizes))
