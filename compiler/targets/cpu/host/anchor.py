"""Convolutions and products of matrices by micro-kernels, with what is computed of their results."""

from dataclasses import dataclass

from tilewright.compiler.ir.function import Equation, Function
from tilewright.compiler.targets.cpu.machine import Machine


@dataclass
class Anchor:
    fold: Equation


def anchor_of(fold: Equation, function: Function, machine: Machine):
    return None
