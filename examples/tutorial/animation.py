"""Loops, tiles and tokens of the tutorial's product, moving as the simulator says: one page of HTML.

    python examples/tutorial/animation.py --output animation.html [--step "virtual threads" ...]

Everything on it is of a real schedule and its run: which vectors an instruction touches, when it starts and
finishes, and which token it waits for. Drag the bar or press play; a click on the lanes goes there.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matmul import STEPS, step
from measure import Measured, outline

from tilewright.isa.access_table import OUTSIDE, AccessTable, access_table
from tilewright.isa.assembly import format_instruction
from tilewright.isa.encoding import decode_table
from tilewright.isa.instruction import Instruction, Matrix
from tilewright.isa.memory import Engine, Memory
from tilewright.runtime.token_flow import token_flows
from tilewright.runtime.trace import timeline_of

PAGE = Path(__file__).with_name("animation.html")
PLACE = "/* scenes */"
SHOWN = tuple(STEPS)[1:]
"""The first step has too many instructions to look at."""
_TILES_FIRST = (2, 3, 4, 0, 1)
"""Loops of the activations of a matrix instruction, (y, x, ky, kx, ci), as the array takes them."""


class Touch(NamedTuple):
    """What one access of an instruction touches.

    Members:
        row: place of the instruction in the program.
        grid: name of an array, or of a bank on the chip.
        write: whether it is written.
        runs: first and count of vectors that follow each other, in the order of time.
    """

    row: int
    grid: str
    write: bool
    runs: list[list[int]]


def scene(measured: Measured) -> dict[str, Any]:
    """What the page shows of a step.

    Returns:
        JSON with `cycles`; `lines`, the loops; `grids`, memories by name with their number of vectors;
        `instructions`, each with its engine, start, finish, line, text, and what it touches: a grid, whether
        it is written, and runs of vectors (first, count) in the order in which they are touched; `tokens`,
        pairs of instructions that give and take.
    """
    executable, result = measured.kernel.executable, measured.result
    table = decode_table(executable.code)
    timeline = timeline_of(executable, result)
    accesses = access_table(table, executable.config)
    touched = list(_touched(measured, accesses))
    names = _names(measured, touched)
    lines = outline(measured.kernel.function).splitlines()
    flows = token_flows(table, timeline.engine).values()
    program, instructions = executable.program(), []
    for place in np.flatnonzero(timeline.engine >= 0).tolist():
        own = [(names.index(each.grid), each.write, each.runs) for each in touched if each.row == place]
        engine = Engine(timeline.engine[place])
        sources = {names[grid] for grid, write, _ in own if not write}
        line = _line_of(lines, engine, sources)
        text = format_instruction(program[place])
        span = (int(result.start[place]), int(result.finish[place]))
        instructions.append([engine.value, *span, line, text, own])
    return {
        "cycles": result.cycles,
        "lines": lines,
        "grids": [[name, _vectors(measured, name, touched)] for name in names],
        "instructions": instructions,
        "tokens": [
            pair for flow in flows for pair in zip(flow.giver.tolist(), flow.taker.tolist(), strict=True)
        ],
    }


def page(scenes: dict[str, dict[str, Any]]) -> str:
    """The page with these scenes by their names."""
    # "</" would end the script.
    data = json.dumps(scenes, separators=(",", ":")).replace("</", "<\\/")
    return PAGE.read_text(encoding="utf-8").replace(PLACE, data)


# --- what is touched ---------------------------------------------------------------------------------------


def _touched(measured: Measured, accesses: AccessTable) -> Iterator[Touch]:
    """What each access of the program touches."""
    executable = measured.kernel.executable
    regions = {region.base: region.name for region in executable.regions}
    program = executable.program()
    for number in range(len(accesses)):
        if accesses.high[number] < accesses.low[number] or accesses.memory[number] > OUTSIDE:
            continue
        row, bank, write = int(accesses.row[number]), int(accesses.bank[number]), bool(accesses.write[number])
        if accesses.memory[number] == OUTSIDE:
            name = regions[bank]
            vectors = _addresses(accesses, number) // _vector_bytes(measured, name)
        else:
            memory = Memory(accesses.memory[number])
            name = f"{memory.label} {bank}"
            vectors = _on_chip(accesses, number, program[row], memory) % executable.config.depth(memory)
        yield Touch(row, name, write, _runs(vectors))


def _on_chip(accesses: AccessTable, number: int, instruction: Instruction, memory: Memory) -> np.ndarray:
    """Vectors in a memory on the chip, in the order of time: the array takes tile after tile."""
    if not isinstance(instruction, Matrix):
        return _addresses(accesses, number)
    if memory is Memory.ACTIVATION:
        return _addresses(accesses, number, _TILES_FIRST) // int(accesses.slices[number])
    tiles = instruction.n_ky * instruction.n_kx * instruction.n_ci if memory is Memory.ACCUMULATOR else 1
    return np.tile(_addresses(accesses, number), tiles)


def _addresses(accesses: AccessTable, number: int, order: Sequence[int] = range(5)) -> np.ndarray:
    """All addresses of an access, with its loops from the outermost to the innermost."""
    found = np.array([accesses.first[number]])
    for loop in order:
        found = (
            found[:, None] + np.arange(accesses.counts[number, loop]) * accesses.strides[number, loop]
        ).ravel()
    return found


def _runs(vectors: np.ndarray) -> list[list[int]]:
    """First and count of stretches of vectors that follow each other."""
    breaks = np.flatnonzero(np.diff(vectors) != 1) + 1
    return [[int(part[0]), len(part)] for part in np.split(vectors, breaks)]


def _vector_bytes(measured: Measured, name: str) -> int:
    """Bytes of a vector of an array outside."""
    types = {each.name: each.dtype for each in measured.kernel.function.parameters}
    return measured.kernel.executable.config.cols * types[name].size_bytes


def _names(measured: Measured, touched: Sequence[Touch]) -> list[str]:
    """Arrays in the order of the parameters, then banks that are used, by memory."""
    regions = [region.name for region in measured.kernel.executable.regions]
    used = {each.grid for each in touched}
    banks = [
        f"{memory.label} {bank}"
        for memory in Memory
        for bank in range(measured.kernel.executable.config.banks(memory))
    ]
    return [name for name in (*regions, *banks) if name in used]


def _vectors(measured: Measured, name: str, touched: Sequence[Touch]) -> int:
    """Of an array all its vectors; of a bank those up to the last that is used."""
    for region in measured.kernel.executable.regions:
        if region.name == name:
            return region.size_bytes // _vector_bytes(measured, name)
    runs = [run for each in touched if each.grid == name for run in each.runs]
    return max(first + count for first, count in runs)


def _line_of(lines: Sequence[str], engine: Engine, sources: set[str]) -> int:
    """The line of the loops that became an instruction: its engine's, and of loads that of its source."""
    found = [place for place, line in enumerate(lines) if line.split()[0] == engine.label]
    if engine is Engine.LOAD:
        found = [place for place in found if any(f" from {name}," in lines[place] for name in sources)]
    (place,) = found
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="animation.html", help="default: %(default)s")
    parser.add_argument("--step", action="append", choices=STEPS, help="default: all but the first")
    options = parser.parse_args(arguments)
    scenes = {name: scene(step(name)) for name in options.step or SHOWN}
    Path(options.output).write_text(page(scenes), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
