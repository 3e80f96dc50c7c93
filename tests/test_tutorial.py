"""The tutorial's page is what its code prints, and what it claims of the steps is so."""

import re
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest
from examples import page

from repository import ROOT
from tilewright.compiler.schedule import apply
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.runtime.ablation import EACH, run_without
from tilewright.runtime.rtl_toolchain import find_toolchain

FOLDER = ROOT / "examples" / "tutorial"
UPDATE = (
    "python examples/page.py tutorial writes the page anew; read what changed, the text may no longer fit"
)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def load() -> Iterator[object]:
    """Imports a file of the tutorial, which finds its neighbours as a script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield import_module


@pytest.fixture(scope="module")
def matmul(load):
    return load("matmul")


@pytest.fixture(scope="module", params=["matmul", "convolution"])
def steps(load, request):
    """All steps by name, of either computation; the last one is the compiler's own."""
    return load(request.param).every_step()


def test_the_page_is_what_the_code_prints(load):
    old = page.page_of("tutorial").read_text(encoding="utf-8")
    new = page.rendered("tutorial", old, remeasure=False)
    assert new.splitlines() == old.splitlines(), UPDATE


def test_every_block_of_the_page_is_compared(load):
    text = page.PLACE.sub("", page.page_of("tutorial").read_text(encoding="utf-8"))
    assert re.findall(r"^```(\w+)", text, re.MULTILINE) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "<!-- prints matmul: memories(TINY) -->\n```text\nmemory  vector\n```\n",
        "<!-- code matmul: SMALLEST -->\n```python\nSMALLEST = tiles(rows=5, blocks=1)\n```\n",
        "<!-- measured matmul: memories(TINY) -->\n```text\nmemory  vector\n```\n",
    ],
)
def test_another_text_is_found(load, wrong):
    assert page.rendered("tutorial", wrong, remeasure=False) != wrong


def test_a_measurement_may_have_other_numbers(load):
    place = "<!-- measured matmul: memories(TINY) -->\n```\n```\n"
    measured = page.rendered("tutorial", place, remeasure=True)
    other = measured.replace("256", "1,000")
    assert other != measured
    assert page.rendered("tutorial", other, remeasure=False) == other
    assert page.rendered("tutorial", other, remeasure=True) == measured


def test_a_definition_that_is_gone_is_an_error(load):
    with pytest.raises(KeyError, match="LARGEST"):
        page.rendered("tutorial", "<!-- code matmul: LARGEST -->\n```\n```\n", remeasure=False)


# --- what the text says ------------------------------------------------------------------------------------


def test_every_step_is_faster_and_the_last_is_near_the_compilers(steps):
    *cycles, own = [step.cycles for step in steps.values()]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[-1] < 1.1 * own
    assert cycles[0] > 2.5 * cycles[-1]


def test_a_product_becomes_about_seventeen_times_faster(matmul):
    assert matmul.step("smallest tiles").cycles // matmul.step("shorter reductions").cycles >= 16
    assert matmul.PROBLEM.macs // matmul.TINY.peak_macs == 8192


def without(step):
    """Shares of the cycles that are left without each unit."""
    regions = step.kernel.regions(step.problem.inputs)
    runs = {unit: run_without(unit, step.device, step.kernel.executable, regions) for unit in EACH}
    return {unit: run.cycles / step.cycles for unit, run in runs.items()}


def test_double_buffers_wait_for_the_bus_and_threads_for_the_array(matmul):
    two, threads = matmul.step("double buffering"), matmul.step("virtual threads")
    assert two.result.counters["load_busy"] > 0.95 * two.cycles
    assert without(two)["dma"] < 0.8 < 0.95 < without(two)["matrix"]
    assert without(threads)["matrix"] < 0.75 < 0.9 < without(threads)["dma"]
    assert threads.result.counters["load_bytes"] < 0.6 * two.result.counters["load_bytes"]


def test_what_a_step_prints_it_runs(matmul):
    result, cycles = matmul.run(matmul.LARGER)
    assert cycles == matmul.step("larger tiles").cycles
    np.testing.assert_array_equal(result, matmul.PROBLEM.expected)


@pytest.mark.parametrize("name", ["larger tiles", "shorter reductions"])
def test_a_schedule_for_the_accelerator_runs_on_the_host_too(matmul, name):
    kernel = compile_function(apply(matmul.PRODUCT, matmul.STEPS[name]))
    found = kernel.run(matmul.PROBLEM.inputs)["result"]
    np.testing.assert_array_equal(found, matmul.PROBLEM.expected)


@pytest.mark.parametrize("file", ["matmul", "convolution"])
def test_the_gates_take_the_same_cycles(load, file):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    module = load(file)
    last = list(module.STEPS)[-1]
    assert module.step(last, "rtl").cycles == module.step(last).cycles
    assert module.default("rtl").cycles == module.default().cycles


def test_the_commands_print_their_tables(load, capsys, monkeypatch):
    for file in ("matmul", "convolution"):
        module = load(file)
        monkeypatch.setattr("sys.argv", [f"{file}.py"])
        assert module.main() == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.rsplit(None, 4)[0] for line in lines[2:]] == [*module.STEPS, "the compiler's own"]
