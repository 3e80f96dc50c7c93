"""Functions with numbers for sizes."""

from collections.abc import Mapping

from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.inline import with_sizes
from tilewright.compiler.ir.size import AnySize


def specialise(function: Function, sizes: Mapping[str, AnySize]) -> Function:
    """The function with names of sizes replaced, regions included; those without a number stay."""
    return with_sizes(function, sizes) if sizes else function
