"""Inside of the compiler imports go one way, too: from passes to languages, and never between targets."""

import ast

import pytest

from repository import ROOT, room_modules

ARROWS = {
    "dtype": "",
    # Languages, from networks down to loops.
    "ir": "dtype",
    "tir": "dtype",
    "te": "dtype tir",
    "schedule": "tir",
    "space": "",
    # What the language of networks is spoken with; `emit` belongs to the primitives that it emits.
    "ops/primitive": "dtype ir",
    "ops/nn": "dtype ir ops/primitive",
    "derivative": "dtype ir ops/primitive ops/nn",
    "training": "dtype ir ops/primitive ops/nn derivative",
    "partition": "dtype ir",
    "passes": "dtype ir ops/primitive ops/nn",
    "frontend/error": "",
    "frontend/onnx": "dtype ir ops/primitive ops/nn frontend/error",
    "frontend/export": "dtype ir ops/primitive ops/nn frontend/error",
    # Integers: what the accelerator does as a unit, and how floats become such.
    "ops/quantised": "dtype ir",
    "ops/registry": "ir",
    "quantise": "dtype ir ops/primitive ops/nn ops/quantised passes",
    "targets/memory_plan": "",
    "targets/accel": "dtype ir ops/primitive ops/nn ops/quantised te tir schedule space targets/memory_plan",
    "targets/cpu": "dtype ir ops/primitive ops/nn ops/quantised te tir schedule space targets/memory_plan",
    "finetune": "dtype ir ops/primitive ops/nn ops/quantised training quantise network",
    "network": "dtype ir ops/primitive ops/nn passes partition quantise targets/accel targets/cpu",
    "pipeline": "frontend/onnx passes quantise targets/accel",
    "frontend": "",
}
"""What the modules of each area may import of others."""


def area_of(parts):
    """The area of a module, by its path inside of the compiler without suffix."""
    if parts[0] == "ops" and parts[-1].startswith("emit"):
        return "ops/primitive"
    longest = "/".join(parts[:2])
    return longest if longest in ARROWS else parts[0]


def violations(source, path):
    """The imports of another area that the table does not have; `path` is relative to the compiler."""
    area = area_of(tuple(path.removesuffix(".py").split("/")))
    for node in ast.walk(ast.parse(source)):
        module = node.module if isinstance(node, ast.ImportFrom) else None
        if module is None or not module.startswith("tilewright.compiler."):
            continue
        other = area_of(tuple(module.split(".")[2:]))
        if module == "tilewright.compiler.ops":
            # `from tilewright.compiler.ops import emit`
            other = area_of(("ops", node.names[0].name))
        if other != area and other not in ARROWS[area].split():
            yield f"compiler/{path}:{node.lineno}: {area} must not import {other}"


def reachable(area):
    """The areas that one imports, directly or through others."""
    found, pending = set(), ARROWS[area].split()
    while pending:
        each = pending.pop()
        if each not in found:
            found.add(each)
            pending += ARROWS[each].split()
    return found


def modules():
    return [path for path in room_modules() if path.is_relative_to(ROOT / "compiler")]


def test_every_module_keeps_to_the_table():
    found = [
        line
        for path in modules()
        if path.name != "__init__.py"
        for line in violations(path.read_text(), path.relative_to(ROOT / "compiler").as_posix())
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("area", sorted(ARROWS))
def test_no_area_reaches_itself(area):
    assert area not in reachable(area)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ir/function.py", "from tilewright.compiler.ops.primitive.map import Map"),
        ("te/lower.py", "from tilewright.compiler.schedule import Split"),
        ("targets/cpu/kernel.py", "from tilewright.compiler.targets.accel.task import Task"),
        ("ops/nn/softmax.py", "from tilewright.compiler.frontend.onnx.model import x"),
        ("ir/function.py", "from tilewright.compiler.ops import emit as e"),
    ],
)
def test_a_forbidden_import_is_found(path, source):
    assert len(list(violations(source, path))) == 1
