"""The operands of each instruction on the chip, as columns of its table.

Which field says where an operand lies, in which memory, over which loops, which ports it claims; which
parameter vectors an instruction uses; what it means to work in place. Gates, simulator, meaning, rules,
footprints and random programs take these from here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tilewright.isa.instruction import Instruction, Load, Matrix, Store, Vector, VectorOp, specs
from tilewright.isa.memory import PORTS, Memory, Port

Read = Callable[[str], Any]
"""The value of a field by its name: a number, a column of numbers, or a signal."""


@dataclass(frozen=True)
class ParameterVector:
    """A vector of the parameter memory that some vector instructions use.

    Members:
        name: in texts and gates.
        field, value: it is used where the field has this value.
    """

    name: str
    field: str
    value: int


PARAMETER_VECTORS = (
    ParameterVector("bias", "bias", 1),
    ParameterVector("scale", "requantise", 1),
    ParameterVector("factor", "op", VectorOp.MULTIPLY_ADD),
)
"""In the order in which those that are used lie, dense from `parameter`."""


def parameters_used(read: Read) -> tuple[Any, ...]:
    """For each of `PARAMETER_VECTORS`, whether a vector instruction uses it, as `read` gives values."""
    return tuple(read(row.field) == row.value for row in PARAMETER_VECTORS)


@dataclass(frozen=True, kw_only=True)
class OperandField:
    """An operand on the chip.

    Members:
        address: the field with its first vector, or slice.
        memory: where it lies, or the field whose value names that; None stands for no memory.
        ports: of its bank, claimed from start to finish.
        loops: (count, stride) fields from the outermost on; empty where the addresses are dense or padded.
        in_slices: whether addresses count slices of `rows` activations.
        of_parameters: whether it is there only if a parameter vector is used.
    """

    address: str
    memory: Memory | str
    ports: tuple[Port, ...]
    loops: tuple[tuple[str, str], ...] = ()
    in_slices: bool = False
    of_parameters: bool = False

    def memories(self, kind: type[Instruction]) -> tuple[Memory | None, ...]:
        """The memory by the code in the field `memory`; one entry where there is no such field."""
        if isinstance(self.memory, Memory):
            return (self.memory,)
        values = specs(kind)[self.memory].values
        assert values is not None, "a choice"
        return tuple(Memory.__members__.get(item.name) for item in values)


def _strided(operand: str, counts: str) -> tuple[tuple[str, str], ...]:
    """Loops n_… of a vector operand with its strides."""
    return tuple((f"n_{loop}", f"{operand}_stride_{loop}") for loop in counts)


_READ, _WRITE = (Port.READ,), (Port.WRITE,)
OPERANDS: Mapping[type[Instruction], tuple[OperandField, ...]] = MappingProxyType(
    {
        Load: (OperandField(address="address", memory="memory", ports=_WRITE),),
        Store: (OperandField(address="address", memory="memory", ports=_READ),),
        Matrix: (
            OperandField(
                address="activation",
                memory=Memory.ACTIVATION,
                ports=_READ,
                in_slices=True,
                loops=tuple((f"n_{loop}", f"stride_{loop}") for loop in ("y", "x", "ky", "kx", "ci")),
            ),
            OperandField(address="weight", memory=Memory.WEIGHT, ports=_READ),
            # It adds to accumulators from the second tile on, even if the first overwrites them.
            OperandField(address="accumulator", memory=Memory.ACCUMULATOR, ports=PORTS),
        ),
        Vector: (
            OperandField(address="a", memory="a_from", ports=_READ, loops=_strided("a", "0123")),
            OperandField(address="b", memory="b_from", ports=_READ, loops=_strided("b", "0123")),
            OperandField(address="parameter", memory=Memory.PARAMETER, ports=_READ, of_parameters=True),
            OperandField(
                address="destination", memory="to", ports=_WRITE, loops=_strided("destination", "01")
            ),
        ),
    }
)
SOURCES, DESTINATION = OPERANDS[Vector][:2], OPERANDS[Vector][3]
"""Of a vector instruction: a and b, and where results go."""


@dataclass(frozen=True)
class InPlace:
    """When a destination in a source's bank is that source's block, item for item.

    Members:
        equal: (field of the destination, field of the source): these must be equal.
        single: counts that must be 1.
    """

    equal: tuple[tuple[str, str], ...]
    single: tuple[str, ...]


def in_place(source: OperandField) -> InPlace:
    """The rule for one of `SOURCES`: one address, and the destination's loops with one stride; no others."""
    common = len(DESTINATION.loops)
    strides = zip(DESTINATION.loops, source.loops[:common], strict=True)
    pairs = ((mine, its) for (_, mine), (_, its) in strides)
    return InPlace(
        equal=((DESTINATION.address, source.address), *pairs),
        single=tuple(count for count, _ in source.loops[common:]),
    )
