"""Products of matrices of any size: exact of integers, near of floats."""

import numpy as np
import pytest

from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.matmul import column_panels, matmul
from tilewright.compiler.targets.cpu.operator.matmul_sizes import MatmulSizes
from tilewright.compiler.targets.cpu.operator.register_tile import product_lanes


def product(a, b, machine):
    is_float, features = a.dtype == np.float32, Features.of(machine)
    sizes = MatmulSizes(rows=len(a), depth=len(b), columns=b.shape[1], is_float=is_float)
    kernel = compile_function(matmul("product", sizes, features), machine=machine)
    return kernel.run({"a": a, "b": column_panels(b, product_lanes(sizes.columns, is_float, features))})["c"]


@pytest.mark.parametrize("without", [(), ("amx", "avx")], ids=["host", "plain"])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"), [(1, 3, 5), (50, 70, 40), (17, 600, 64), (33, 64, 272)]
)
def test_products_are_those_of_numpy(rows, depth, columns, without):
    rng, machine = np.random.default_rng(0), HostMachine.host().without(*without)
    a, b = rng.integers(0, 256, (rows, depth), np.uint8), rng.integers(-128, 128, (depth, columns), np.int8)
    np.testing.assert_array_equal(product(a, b, machine), a.astype(np.int32) @ b.astype(np.int32))
    x, y = rng.normal(size=(rows, depth)), rng.normal(size=(depth, columns))
    np.testing.assert_allclose(product(x.astype(np.float32), y.astype(np.float32), machine), x @ y, atol=1e-3)
