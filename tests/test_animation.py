"""The tutorial's animation shows the program that was built, and the run that was simulated."""

import json
import re
from collections import Counter

import numpy as np
import pytest

from browser import told_by
from repository import ROOT
from tilewright.isa.assembly import format_instruction
from tilewright.isa.instruction import Load, Matrix, Store
from tilewright.isa.memory import Engine, Memory

STEP = "virtual threads"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def animation():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples" / "tutorial"))
        import animation

        yield animation


@pytest.fixture(scope="module")
def measured(animation):
    return animation.step(STEP)


@pytest.fixture(scope="module")
def scene(animation, measured):
    return animation.scene(measured)


def vectors(runs):
    return [first + k for first, count in runs for k in range(count)]


def touched(scene, grid, *, write):
    """Vectors of a grid by the instructions that touch them, in the order of the program."""
    place = [name for name, _ in scene["grids"]].index(grid)
    found = [
        (number, vectors(runs))
        for number, (*_, own) in enumerate(scene["instructions"])
        for other, writes, runs in own
        if (other, writes) == (place, write)
    ]
    return dict(found)


def test_instructions_are_those_of_the_run(measured, scene):
    program, result = measured.kernel.executable.program(), measured.result
    assert scene["cycles"] == result.cycles
    # The last one ends the program.
    assert len(scene["instructions"]) == len(program) - 1
    for place, (_, start, finish, line, text, _) in enumerate(scene["instructions"]):
        assert (start, finish) == (result.start[place], result.finish[place])
        assert text == format_instruction(program[place])
        assert scene["lines"][line].split()[0] == text.split()[0]


def test_every_line_runs_once_for_each_pass_of_the_loops(scene):
    """Two halves of the rows, two times two blocks, four reduction tiles; rows are shared by two threads."""
    lines = [scene["lines"][each[3]].split(", over")[0].split() for each in scene["instructions"]]
    assert Counter(tuple(line[:2]) for line in lines) == {
        ("load", "scales"): 4,
        ("load", "weights"): 32,
        ("load", "rows"): 16,
        ("matrix", "sums"): 32,
        ("vector", "tile"): 8,
        ("store", "result"): 8,
    }


def test_every_vector_outside_is_moved(measured, scene):
    arrays = measured.problem.inputs | {"result": measured.problem.expected}
    sizes = dict(scene["grids"])
    for name, array in arrays.items():
        assert sizes[name] == array.size // measured.problem.config.cols
        found = touched(scene, name, write=name == "result")
        everything = [vector for each in found.values() for vector in each]
        assert set(everything) == set(range(sizes[name]))
    stored = [vector for each in touched(scene, "result", write=True).values() for vector in each]
    assert len(stored) == sizes["result"]


def test_the_array_takes_tile_after_tile(measured, scene):
    program, config = measured.kernel.executable.program(), measured.problem.config
    grids = [name for name, _ in scene["grids"]]
    for place, (*_, own) in enumerate(scene["instructions"]):
        matrix = program[place]
        if not isinstance(matrix, Matrix):
            continue
        runs = {grids[grid].split()[0]: vectors(each) for grid, _, each in own}
        tiles = matrix.n_ky * matrix.n_kx * matrix.n_ci
        count = matrix.n_y * matrix.n_x
        assert len(runs["weight"]) == tiles * config.rows
        first = matrix.activation % config.depth(Memory.ACTIVATION) + np.arange(count) * matrix.stride_x
        assert runs["activation"][:count] == first.tolist()
        assert len(runs["activation"]) == len(runs["accumulator"]) == tiles * count


def test_what_a_transfer_reads_is_as_much_as_it_writes(measured, scene):
    program = measured.kernel.executable.program()
    for place, (*_, own) in enumerate(scene["instructions"]):
        if isinstance(program[place], Load | Store):
            (_, one, read), (_, other, written) = own
            assert {one, other} == {True, False}
            assert len(vectors(read)) == len(vectors(written))


def test_tokens_go_from_an_end_to_a_start(measured, scene):
    program = measured.kernel.executable.program()
    for giver, taker in scene["tokens"]:
        one, other = scene["instructions"][giver], scene["instructions"][taker]
        assert one[2] < other[1]
        assert program[giver].signal >> other[0] & 1
        assert program[taker].wait >> one[0] & 1
    waits = sum(bin(each.wait).count("1") for each in program)
    assert len(scene["tokens"]) == waits == len({tuple(pair) for pair in scene["tokens"]})


def test_the_page_needs_nothing_else(animation, scene, tmp_path):
    path = tmp_path / "page.html"
    assert animation.main(["--output", str(path), "--step", STEP]) == 0
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=|https?:|@import", text)
    found = re.search(r"const scenes = (\{.*?\});\n", text)
    assert json.loads(found[1]) == {STEP: json.loads(json.dumps(scene))}
    assert len(text) < 100_000


def test_a_browser_shows_what_is_in_flight(animation, scene, tmp_path):
    cycles = [0, 700, 2100, scene["cycles"] - 1]
    script = f"""told = {cycles}.map(at => {{
      show(at);
      return [[...byId("flight").children].map(each => each.textContent),
              [...byId("loops").children].map(each => each.style.background !== ""),
              coloursOf(0, at).filter(each => each === FULL[0]).length];
    }});"""
    told = told_by(animation.page({STEP: scene}), tmp_path, script)
    for cycle, (flight, lines, reached) in zip(cycles, told, strict=True):
        running = [each for each in scene["instructions"] if each[1] <= cycle <= each[2]]
        for engine, shown in zip(Engine, flight, strict=True):
            own = [text.partition(" ")[2] for number, _, _, _, text, _ in running if number == engine]
            assert shown == f"{engine.label} {' | '.join(own)}" or (
                not own and re.search("wait|nothing", shown)
            )
        assert [place for place, lit in enumerate(lines) if lit] == sorted({each[3] for each in running})
        assert reached == sum(
            -(-len(vectors(runs)) * (cycle - start + 1) // (finish - start + 1))
            for _, start, finish, _, _, own in running
            for grid, _, runs in own
            if grid == 0
        )
