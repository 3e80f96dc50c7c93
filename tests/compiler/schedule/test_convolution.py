import numpy as np
import pytest

from te_convolution import Convolution, random_inputs, reference, tensors
from tilewright.compiler import schedule, te
from tilewright.compiler.schedule import (
    CacheRead,
    CacheWrite,
    ComputeAt,
    Reorder,
    ReverseComputeAt,
    SetScope,
    Split,
    Versions,
)
from tilewright.compiler.tir.buffer import Scope
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

SIZES = [
    Convolution(),
    Convolution(height=8, width=8, kernel=(1, 1), pad=(0, 0), blocks_in=2),
    Convolution(blocks_in=2, rows=2, stride=(2, 1), kernel=(3, 2), dilation=(1, 2)),
    Convolution(stride=(2, 2), blocks_in=3, height=11),
]


def steps(tile_y, tile_x, chunk):
    """The schedule of the accelerator: output tiles, blocks of channels inside, chunks of input channels."""
    return (
        Split("out_y", tile_y, "yo", "yi"),
        Split("out_x", tile_x, "xo", "xi"),
        Reorder(("yo", "xo", "out_o", "yi", "xi", "out_c")),
        CacheWrite("out", Scope.ACTIVATION, "result"),
        ReverseComputeAt("result", "out_o"),
        ComputeAt("acc", "out_o"),
        SetScope("acc", Scope.ACCUMULATOR),
        Split("acc_ci", chunk, "co", "ci"),
        Reorder(("co", "acc_o", "acc_y", "acc_x", "acc_c", "acc_ky", "acc_kx", "ci", "acc_r")),
        CacheRead("acc", "w", Scope.WEIGHT, "weights"),
        ComputeAt("weights", "co"),
        SetScope("xp", Scope.ACTIVATION),
        ComputeAt("xp", "co"),
        CacheRead("out", "params", Scope.PARAMETER, "vectors"),
        ComputeAt("vectors", "out_o"),
        Versions("weights", 2),
        Versions("xp", 2),
        Versions("acc", 2),
        Versions("result", 2),
    )


@pytest.mark.parametrize("tile", [(4, 4), (3, 5), (100, 100), (1, 2)])
@pytest.mark.parametrize("conv", SIZES)
def test_every_step_keeps_the_numbers(conv, tile):
    inputs, out = tensors(conv)
    arrays = random_inputs(conv)
    expected = reference(conv, arrays)
    function = te.lower("conv", inputs, [out])
    for step in steps(*tile, chunk=conv.lanes // conv.rows):
        function = schedule.apply(function, [step])
        np.testing.assert_array_equal(run(function, arrays)["out"], expected, err_msg=str(step))


if __name__ == "__main__":
    inputs, out = tensors(SIZES[2])
    print(print_function(schedule.apply(te.lower("conv", inputs, [out]), steps(4, 4, 2))))
