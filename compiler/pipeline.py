"""From a network to a compiled model: the passes on one screen.

    load_onnx           ONNX file                     -> function of floats, or with quantisation in it
    quantise            function, calibration         -> function of integers:
        recognise           convolutions, sums, limits, poolings, views; batch norms folded
        measure_ranges      of every value, by the interpreter
        insert_quantisation where the machine writes int8
        lower               fusion groups to operators that are one unit of the machine
        fuse_pools          poolings behind convolutions
    compile_function    function, configuration       -> model: for each layer
        legalise            operators that are one unit of this machine each
        lower               tensor expressions, then loops over the machine's layouts
        apply               the default schedule: tiles, memory scopes, versions
        tensorise           nests that are one instruction each
        tasks               the loops outside of them, run
        assemble            places on the chip, tokens, the checker

`compile_function` stands with its target, which alone knows the instruction set.
"""

from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.quantise.quantise import quantise
from tilewright.compiler.targets.accel.compile import compile_function

compile_model = compile_function

__all__ = ["compile_model", "load_onnx", "quantise"]
