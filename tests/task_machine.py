"""Runs tasks by the meaning of the instructions, every instance in its own place on a chip of garbage."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.targets.accel.tensorise import limits_of, tensorise
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.compiler.tir.verify import verify
from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction
from tilewright.isa.legality import explain
from tilewright.isa.memory import Memory
from tilewright.isa.semantics import execute
from tilewright.isa.state import Dram, State

Arrays = Mapping[str, NDArray[np.generic]]


def machine(rows: int = 4, cols: int = 4, bus_bytes: int = 8) -> Config:
    """Banks for every buffer of a small test, of room for all of its instances."""
    sizes = {f"{memory.label}_vectors": 1 << 14 for memory in Memory}
    return Config(rows=rows, cols=cols, activation_banks=4, accumulator_banks=4, bus_bytes=bus_bytes, **sizes)


class Runner:
    """Places instances as they are met, the buffers in banks by turns."""

    def __init__(self, function: PrimFunc, inputs: Arrays, config: Config) -> None:
        self._config = config
        self._outputs = function.parameters[len(function.parameters) - function.outputs :]
        self._offsets: dict[str, int] = {}
        data = bytearray()
        for buffer in function.parameters:
            shape = tuple(extent.value for extent in buffer.shape)
            array = inputs.get(buffer.name, np.zeros(shape, buffer.dtype.numpy))
            self._offsets[buffer.name] = len(data)
            data += array.tobytes() + bytes(-array.nbytes % 64)
        self._dram = Dram(np.frombuffer(bytes(data), np.uint8).copy())
        self._state = State(config)
        random = np.random.default_rng(0)
        for memory in self._state.memories:
            memory[...] = random.integers(-128, 128, memory.shape)
        self._places: dict[int, int] = {}
        self._used = {(memory, bank): 0 for memory in Memory for bank in range(config.banks(memory))}
        self._banks: dict[Memory, dict[str, int]] = {memory: {} for memory in Memory}

    def run(self, work: Sequence[Task]) -> dict[str, NDArray[np.generic]]:
        for task in work:
            instruction = self._placed(task)
            assert explain(instruction, self._config) == []
            execute(instruction, self._state, self._dram)
        return {buffer.name: self._array(buffer) for buffer in self._outputs}

    def _array(self, buffer) -> NDArray[np.generic]:
        shape = tuple(extent.value for extent in buffer.shape)
        size = int(np.prod(shape)) * buffer.dtype.size_bytes
        first = self._offsets[buffer.name]
        return self._dram.data[first : first + size].view(buffer.dtype.numpy).reshape(shape)

    def _placed(self, task: Task) -> Instruction:
        fields = {}
        for name, instance in task.operands.items():
            unit = self._config.slices if name == "activation" else 1
            fields[name] = getattr(task.instruction, name) + unit * self._place(instance)
        if task.memory is not None:
            fields["offset"] = task.instruction.offset + self._offsets[task.memory.name]
        return replace(task.instruction, **fields)

    def _place(self, instance: Instance) -> int:
        if instance.number not in self._places:
            memory = Memory[instance.buffer.scope.name]
            banks = self._banks[memory]
            bank = banks.setdefault(instance.buffer.name, len(banks)) % self._config.banks(memory)
            first = self._used[memory, bank]
            self._used[memory, bank] += instance.vectors
            assert self._used[memory, bank] <= self._config.depth(memory), "the test is too large"
            self._places[instance.number] = bank * self._config.depth(memory) + first
        return self._places[instance.number]


def random_inputs(function: PrimFunc, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Values of every input: the whole range of int8; int32 such that nothing saturates all the time."""
    random = np.random.default_rng(seed)
    result = {}
    for buffer in function.parameters[: len(function.parameters) - function.outputs]:
        shape = tuple(extent.value for extent in buffer.shape)
        limit = 128 if buffer.dtype.size_bytes == 1 else 1 << 20
        result[buffer.name] = random.integers(-limit, limit, shape).astype(buffer.dtype.numpy)
    return result


def check(function: PrimFunc, config: Config, inputs: Arrays | None = None) -> list[Task]:
    """The tasks of a function, which make the machine compute, byte by byte, what the function means."""
    verify(function)
    values = random_inputs(function) if inputs is None else inputs
    expected = run(function, values)
    tensorised = tensorise(function, limits_of(config))
    verify(tensorised)
    work = enumerated(tensorised, "layer", config).tasks()
    found = Runner(function, values, config).run(work)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    return work
