"""Numbers for the names of sizes, as a pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.specialise import specialise


@dataclass(frozen=True)
class Specialise:
    """The main function for sizes that are known; functions that it calls stay symbolic.

    Members:
        sizes: numbers by name.
    """

    name: ClassVar[str] = "specialise"
    sizes: Mapping[str, int]

    def apply(self, module: Module) -> Module:
        """The module of the specialised main function.

        Raises:
            IrError: for a name that no parameter has, or a number that is no size.
        """
        return Module({**module.functions, "main": specialise(module.main, self.sizes)})
