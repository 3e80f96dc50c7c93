"""What the tutorial shows of a schedule: loops, instructions, cycles, timelines, and what a unit costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from tilewright.cli.machine import make_device
from tilewright.cli.table import format_table
from tilewright.compiler.targets.accel.build import AccelKernel, build
from tilewright.compiler.tir.printer import print_buffer, print_expr
from tilewright.compiler.tir.printer import print_function as print_function
from tilewright.compiler.tir.stmt import Allocate, Block, For, IntrinsicStmt, LoopKind, PrimFunc, Seq, Stmt
from tilewright.compiler.tir.walk import blocks, loads
from tilewright.isa.assembly import format_instruction
from tilewright.isa.config import Config
from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Memory
from tilewright.runtime.ablation import EACH, run_without
from tilewright.runtime.device import Device, DeviceResult
from tilewright.runtime.timeline_text import timeline_text

WIDTH = 96
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """A computation on a machine, with data.

    Members:
        config: the machine.
        macs: products that it takes.
        inputs: arrays by name of the parameter.
        expected: the result, by numpy.
    """

    config: Config
    macs: int
    inputs: Arrays
    expected: np.ndarray


@dataclass(frozen=True)
class Measured:
    """A schedule that ran and gave what numpy gives."""

    problem: Problem
    device: Device
    kernel: AccelKernel
    result: DeviceResult

    @property
    def cycles(self) -> int:
        """From start to finish."""
        return self.result.cycles

    @property
    def utilisation(self) -> float:
        """Products in each cycle, of those that the array could do."""
        return self.problem.macs / (self.cycles * self.problem.config.peak_macs)


def measure(function: PrimFunc, problem: Problem, inputs: Arrays | None = None, on: str = "sim") -> Measured:
    """Run a scheduled function with one output on the machine.

    Args:
        function: scheduled.
        problem: what it computes.
        inputs: in place of those of the problem, where the function wants them in other shapes.
        on: the device, as in `tilewright run --device`.

    Raises:
        TilewrightError: if it is not numpy's result, or cannot be built.
    """
    kernel, device = build(function, problem.config), the_device(on, problem.config)
    ran = kernel.run(device, inputs or problem.inputs)
    (found,) = ran.outputs.values()
    if not np.array_equal(found.reshape(problem.expected.shape), problem.expected):
        raise TilewrightError(f"{function.name} must give numpy's result")
    return Measured(problem, device, kernel, ran.result)


@cache
def the_device(name: str, config: Config) -> Device:
    """One device for all steps."""
    return make_device(name, config)


# --- tables ------------------------------------------------------------------------------------------------


def table(steps: Mapping[str, Measured]) -> str:
    """A line for each step."""
    header = ("step", "cycles", "utilisation", "instructions", "bytes loaded")
    return format_table(header, [_row(name, step) for name, step in steps.items()])


def _row(name: str, step: Measured) -> tuple[str, ...]:
    loaded = step.result.counters["load_bytes"]
    count = len(step.kernel.instructions)
    return name, f"{step.cycles:,}", f"{step.utilisation:.1%}", f"{count:,}", f"{loaded:,}"


def without(step: Measured) -> str:
    """What the step would take if one of the units took no time."""
    regions = step.kernel.regions(step.problem.inputs)
    rows = [("full", f"{step.cycles:,}", "100.0%")]
    for unit in EACH:
        cycles = run_without(unit, step.device, step.kernel.executable, regions).cycles
        rows.append((f"without {unit}", f"{cycles:,}", f"{cycles / step.cycles:.1%}"))
    return format_table(("run", "cycles", "share"), rows)


def memories(config: Config) -> str:
    """The memories on the chip."""
    rows = [
        (
            memory.label,
            f"{config.cols} x int{8 * memory.element_bytes}",
            str(config.banks(memory)),
            str(config.depth(memory)),
        )
        for memory in Memory
    ]
    return format_table(("memory", "vector", "banks", "vectors in a bank"), rows)


# --- programs ----------------------------------------------------------------------------------------------


def timeline(step: Measured, window: tuple[int, int] | None = None) -> str:
    """What each engine does, in time."""
    return timeline_text(step.kernel.executable, step.result, width=WIDTH, window=window)


def instructions(step: Measured, count: int) -> str:
    """The first instructions."""
    shown = map(format_instruction, step.kernel.instructions[:count])
    return "\n".join([*shown, f"… {len(step.kernel.instructions) - count:,} more"])


def refusal(function: PrimFunc, problem: Problem) -> str:
    """What the compiler says of a function that is no program."""
    try:
        build(function, problem.config)
    except TilewrightError as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    raise AssertionError(f"{function.name} can be built")


# --- loops -------------------------------------------------------------------------------------------------


def outline(function: PrimFunc) -> str:
    """The loops with what each block makes of what; an intrinsic (one instruction) takes one line."""
    return "\n".join(_lines(function.body))


def _lines(stmt: Stmt) -> Iterator[str]:
    match stmt:
        case Seq(body=body):
            for part in body:
                yield from _lines(part)
        case Allocate(buffer=buffer, body=body):
            yield f"allocate {print_buffer(buffer)}"
            yield from _lines(body)
        case IntrinsicStmt(name=name, body=body):
            (block,) = blocks(body)
            loops = [loop for loop in _nest(body)[0] if not loop.endswith(" < 1")]
            yield f"{name:6} {_effect(block)}, over {', '.join(loops)}"
        case For():
            loops, body = _nest(stmt)
            yield f"for {', '.join(loops)}:"
            yield from (f"    {line}" for line in _lines(body))
        case Block():
            yield _effect(stmt)


def _nest(stmt: Stmt) -> tuple[Sequence[str], Stmt]:
    """The loops that stand in one another, and what stands in the innermost."""
    found = []
    while isinstance(stmt, For):
        found.append(_loop(stmt))
        stmt = stmt.body
    return found, stmt


def _loop(loop: For) -> str:
    kind = "" if loop.kind is LoopKind.SERIAL else f" ({loop.kind.name.lower().replace('_', ' ')})"
    return f"{loop.var.name} < {print_expr(loop.extent)}{kind}"


def _effect(block: Block) -> str:
    sources = dict.fromkeys(load.buffer.name for load in loads(block))
    return f"{block.body.buffer.name} from {', '.join(sources)}"
