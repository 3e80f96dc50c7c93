"""Products of two activations on every kind of host: the operator's meaning, to the bit."""

import numpy as np
import pytest
from tests.compiler.targets.cpu.test_micro_kernel import HOSTS

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qmatmul import QMatmul
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.lower import lower_operator
from tilewright.numerics.requantise import pack_scale, quantise_multiplier


@pytest.fixture(params=HOSTS, ids=str)
def host(request):
    machine = HostMachine.host().without(*HOSTS[request.param])
    if Features.of(machine).dot is not request.param:
        pytest.skip(f"this host has no {request.param}")
    return machine


@pytest.mark.parametrize(
    ("groups", "pixels", "depth", "columns", "outputs"),
    [(3, 29, 32, 32, 40), (2, 1, 7, 9, 64), (1, 16, 130, 130, 5), (4, 6, 1, 3, 33)],
)
def test_products_have_the_bytes_of_the_operator(host, groups, pixels, depth, columns, outputs):
    rng = np.random.default_rng(7)
    x = rng.integers(-128, 128, (1, depth, groups, pixels), np.int8)
    w = rng.integers(-128, 128, (1, outputs, groups, columns), np.int8)
    scale = int(pack_scale(*quantise_multiplier(1 / (60 * depth))))
    operator = QMatmul(scale, -3, -100, 120)
    types = [TensorType(DType.INT8, each.shape) for each in (x, w)]
    lowered = lower_operator(operator, types, [None, None], Features.of(host))
    kernel = compile_function(lowered.function, machine=host)
    (numbers,) = (each for each in lowered.arguments if not isinstance(each, int))
    given = {"x": x[0].transpose(1, 2, 0), "w": w[0].transpose(1, 2, 0), "numbers": numbers}
    found = kernel.run({name: np.ascontiguousarray(each) for name, each in given.items()})["result"]
    (expected,) = operator.run(x, w)
    np.testing.assert_array_equal(found, expected[0].transpose(1, 2, 0))
