"""From a model to programs and machine code: the passes on one screen.

    load_onnx           ONNX model                    -> function of the IR, with the names of its ports
    PASSES              of every network; the verifier stands between any two
    split_network       function, configuration       -> kernels of the accelerator and of the host:
        prepared            attention as integers want it: keys without biases, softmaxes in two parts
        judge               what could become integers, equation by equation
        partition           most products on the accelerator, fewest programs, fewest bytes between
    quantise            kernel, calibration           -> function of integers:
        recognise           convolutions, sums, limits, poolings, tables, views; batch norms folded
        calibrate           ranges and histograms of every value, by the interpreter
        integer_parts       ranges, sizes of channels and biases of these, by measuring the whole network
        insert_quantisation where the machine writes int8
        lower               fusion groups to operators that are one unit of the machine
        fuse_pools          poolings behind convolutions
    compile_function    integers, configuration       -> program: for each layer
        legalise            operators that are one unit of this machine each
        te                  tensor expressions over the machine's layouts
        lower               loops
        apply               the default schedule: tiles, memory scopes, versions
        tensorise           nests that are one instruction each
        tasks               the loops outside of them, run
        assemble            places on the chip, tokens, the checker
    HOST_PASSES         of a network that runs on the host alone, in floats
    compile_host        kernel                        -> machine code: fused kernels in one arena

`compile_function` and `compile_host` stand with their targets. `api.compile` takes a network all the way.
"""

from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.recompose import Recompose
from tilewright.compiler.passes.run import Pass
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.quantise.quantise import quantise
from tilewright.compiler.targets.accel.compile import PASSES as LAYER_PASSES
from tilewright.compiler.targets.accel.compile import compile_function

# Integer weights stay as they are: folding them would make floats of them, to be quantised anew.
PASSES: tuple[Pass, ...] = (Simplify(),)
"""Of every network, before it is split."""
HOST_PASSES: tuple[Pass, ...] = (Fold(), Recompose())
"""Of a network that runs on the host alone, behind `PASSES`."""
STAGES = ("input", *(each.name for each in (*PASSES, *HOST_PASSES)), "partition", "integers", *LAYER_PASSES)
"""Names of what observers are told of: of the network, its kernels, their layers."""
compile_model = compile_function

__all__ = ["HOST_PASSES", "PASSES", "STAGES", "compile_model", "load_onnx", "quantise"]
