"""What the tests of the host's code share."""

import numpy as np

from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir import interpret


def interpreted(function, arrays, monkeypatch):
    """What the interpreter gives an instance at a time: floats are added in the order of the loops."""
    with monkeypatch.context() as patch:
        patch.setattr(interpret, "GRID_LIMIT", 0)
        return interpret.run(function, arrays)


def assert_same(found, expected, message=""):
    """The same bits, but for those of NaN."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=message)
        if array.dtype.kind == "f":
            numbers = ~np.isnan(array)
            np.testing.assert_array_equal(
                np.signbit(found[name])[numbers], np.signbit(array)[numbers], err_msg=message
            )


def run_compiled(function, arrays, **options):
    return compile_function(function, **options).run(arrays)
