"""Tensor expressions: the computation, apart from its schedule."""

from tilewright.compiler.te.element import (
    call,
    cast,
    clamp,
    constant,
    requantise,
    saturate,
    saturating_add,
    select,
)
from tilewright.compiler.te.evaluate import evaluate
from tilewright.compiler.te.extern import extern
from tilewright.compiler.te.irregular.hybrid import hybrid
from tilewright.compiler.te.irregular.python import allocate, output, parallel, serial, unroll, vectorise
from tilewright.compiler.te.lower import lower
from tilewright.compiler.te.program import TensorProgram, print_program
from tilewright.compiler.te.reduction import ReduceAxis, max_of, min_of, prod_of, reduce_axis, reducer, sum_of
from tilewright.compiler.te.scan import scan
from tilewright.compiler.te.stage import Tensor
from tilewright.compiler.te.tensor import compute, placeholder
from tilewright.compiler.tir.expr import both, either, maximum, minimum

__all__ = [
    "ReduceAxis",
    "Tensor",
    "TensorProgram",
    "allocate",
    "both",
    "call",
    "cast",
    "clamp",
    "compute",
    "constant",
    "either",
    "evaluate",
    "extern",
    "hybrid",
    "lower",
    "max_of",
    "maximum",
    "min_of",
    "minimum",
    "output",
    "parallel",
    "placeholder",
    "print_program",
    "prod_of",
    "reduce_axis",
    "reducer",
    "requantise",
    "saturate",
    "saturating_add",
    "scan",
    "select",
    "serial",
    "sum_of",
    "unroll",
    "vectorise",
]
