"""Damaged files of each kind are answered or refused in one line; `tests.hostile.fuzz` tries many more."""

import subprocess
import sys
from random import Random

import pytest
from tests.hostile.fuzz import place
from tests.hostile.kind import KINDS
from tests.hostile.mutate import damaged_bytes, damaged_text, damaged_value
from tests.hostile.runner import Case, Failure

from repository import ROOT

COUNTS = {
    "executable": 300,
    "config": 200,
    "assembler": 200,
    "schedule": 200,
    "array": 300,
    "picture": 150,
    "onnx": 500,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_files_are_answered_or_refused_in_one_line(kind):
    # A process of its own: children are forked from it, which threads of other tests must not see.
    command = (
        sys.executable,
        "-m",
        "tests.hostile.fuzz",
        "--kind",
        kind,
        "--count",
        str(COUNTS[kind]),
    )
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_every_kind_is_tried():
    assert set(COUNTS) == set(KINDS)


@pytest.mark.parametrize("damage", [damaged_bytes, damaged_text])
def test_damages_are_a_function_of_the_seed_and_change_the_most(damage):
    data = b"name = 12\nother = 13\n" * 5
    results = [damage(Random(seed), data) for seed in range(200)]
    assert results == [damage(Random(seed), data) for seed in range(200)]
    assert sum(result != data for result in results) > 180
    damage(Random(1), b"")


def test_values_change_at_any_depth():
    value = {"a": [1, {"b": 2}], "c": "d"}
    changed = [damaged_value(Random(seed), value) for seed in range(300)]
    assert any(isinstance(each, dict) and len(each) == 1 for each in changed)
    assert any(
        isinstance(each, dict) and isinstance(each.get("a"), list) and each["a"][0] != 1
        for each in changed
        if isinstance(each, dict) and each.get("a")
    )
    assert value == {"a": [1, {"b": 2}], "c": "d"}


def test_failures_of_one_place_are_told_once():
    frame = '  File "a.py", line 3, in f\n'
    case = Case("config", 1, 0)
    texts = (f"{frame}ValueError: {number}" for number in (4, 5))
    assert len({place(Failure(case, "asm", text)) for text in texts}) == 1
    assert place(Failure(case, "asm", "no answer in 20 s")) != place(Failure(case, "asm", "exit code 3"))
