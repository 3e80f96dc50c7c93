"""From a network to a compiled model: the passes on one screen.

    load_onnx        ONNX file                  -> graph of floats, or with quantisation in it
    quantise         graph, calibration         -> graph of integers, in operators that the machine does
    compile_graph    graph, configuration       -> model: for each layer
        legalise         operators that are one unit of the machine each
        lower            tensor expressions, then loops over the machine's layouts
        apply            the default schedule: tiles, memory scopes, versions
        tensorise        nests that are one instruction each
        tasks            the loops outside of them, run
        assemble         places on the chip, tokens, the checker

`compile_graph` stands with its target, which alone knows the instruction set.
"""

from tilewright.compiler.frontend.load import load_onnx
from tilewright.compiler.quantise.quantise import quantise
from tilewright.compiler.targets.accel.compile import compile_graph

compile_model = compile_graph

__all__ = ["compile_model", "load_onnx", "quantise"]
