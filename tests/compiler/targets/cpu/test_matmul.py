"""Products of matrices of any size: exact of integers, near of floats."""

from dataclasses import asdict

import numpy as np
import pytest

from tilewright.compiler.space.point import Point
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import DotInstruction, Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.matmul import column_panels, matmul
from tilewright.compiler.targets.cpu.operator.matmul_schedule import (
    MatmulSchedule,
    matmul_schedule_of,
    matmul_space,
)
from tilewright.compiler.targets.cpu.operator.matmul_sizes import MatmulSizes
from tilewright.compiler.targets.cpu.operator.register_tile import product_lanes
from tilewright.compiler.tir.printer import print_function


def product(a, b, machine, schedule=None):
    is_float, features = a.dtype == np.float32, Features.of(machine)
    sizes = MatmulSizes(rows=len(a), depth=len(b), columns=b.shape[1], is_float=is_float)
    kernel = compile_function(matmul("product", sizes, features, schedule), machine=machine)
    lanes = schedule.lanes if schedule else product_lanes(sizes.columns, is_float, features)
    return kernel.run({"a": a, "b": column_panels(b, lanes)})["c"]


@pytest.mark.parametrize(
    "without", [(), ("amx", "avx512", "avxvnni"), ("amx", "avx")], ids=["host", "avx2", "plain"]
)
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(1, 3, 5), (50, 70, 40), (17, 600, 64), (33, 64, 272)]
)
def test_products_are_those_of_numpy(rows, depth, columns, without):
    rng, machine = np.random.default_rng(0), HostMachine.host().without(*without)
    a, b = rng.integers(0, 256, (rows, depth), np.uint8), rng.integers(-128, 128, (depth, columns), np.int8)
    np.testing.assert_array_equal(product(a, b, machine), a.astype(np.int32) @ b.astype(np.int32))
    x, y = rng.normal(size=(rows, depth)), rng.normal(size=(depth, columns))
    np.testing.assert_allclose(product(x.astype(np.float32), y.astype(np.float32), machine), x @ y, atol=1e-3)


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
def test_points_that_fit_give_the_product(is_float):
    rng, machine = np.random.default_rng(1), HostMachine.host()
    sizes = MatmulSizes(rows=50, depth=130, columns=40, is_float=is_float)
    space = matmul_space(sizes, Features.of(machine))
    if is_float:
        a, b = (rng.normal(size=shape).astype(np.float32) for shape in ((50, 130), (130, 40)))
    else:
        a, b = rng.integers(0, 256, (50, 130), np.uint8), rng.integers(-128, 128, (130, 40), np.int8)
    for point in space.points(space.sample(rng, 4)):
        found = product(a, b, machine, matmul_schedule_of(point))
        if is_float:
            np.testing.assert_allclose(found, a @ b, atol=1e-3, err_msg=str(point))
        else:
            np.testing.assert_array_equal(found, a.astype(np.int32) @ b.astype(np.int32), err_msg=str(point))


@pytest.mark.parametrize("is_float", [True, False], ids=["float32", "int8"])
@pytest.mark.parametrize("features", [Features(), Features(64, 32, DotInstruction.AMX)], ids=["plain", "amx"])
def test_the_default_is_in_the_space_and_is_what_is_taken(features, is_float):
    sizes = MatmulSizes(rows=300, depth=70, columns=400, is_float=is_float)
    default = MatmulSchedule.default(sizes, features)
    assert matmul_space(sizes, features).refuse(Point(asdict(default))) is None
    texts = {print_function(matmul("product", sizes, features, each)) for each in (None, default)}
    assert len(texts) == 1


def test_what_does_not_fit_says_why():
    sizes = MatmulSizes(rows=300, depth=70, columns=400, is_float=False)
    bad = MatmulSchedule(rows=99, lanes=13, tiles=0, depth=5)
    with pytest.raises(
        CpuError, match=r"multiple of 8; rows must be so few .*; tiles must .*; depth must be 18"
    ):
        matmul("product", sizes, Features(), bad)
