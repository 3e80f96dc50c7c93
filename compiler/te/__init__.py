"""Tensor expressions: what is computed, apart from how."""

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
from tilewright.compiler.te.lower import lower
from tilewright.compiler.te.reduction import Axis, max_of, min_of, reduce_axis, sum_of
from tilewright.compiler.te.tensor import Tensor, compute, placeholder
from tilewright.compiler.tir.expr import both, either, maximum, minimum

__all__ = [
    "Axis",
    "Tensor",
    "both",
    "call",
    "cast",
    "clamp",
    "compute",
    "constant",
    "either",
    "evaluate",
    "lower",
    "max_of",
    "maximum",
    "min_of",
    "minimum",
    "placeholder",
    "reduce_axis",
    "requantise",
    "saturate",
    "saturating_add",
    "select",
    "sum_of",
]
