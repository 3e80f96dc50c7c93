"""A small network compiled by hand: two layers of 1 x 1 convolutions, as text for the assembler."""

from dataclasses import dataclass

import numpy as np
from tests.layers import Node, network, reshape

from tilewright.compiler.ir.print import print_function, tensors_of
from tilewright.compiler.ir.tensor_file import save_tensors
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Memory
from tilewright.isa.model import BETWEEN, CONSTANTS, INPUTS, OUTPUTS, Binding, Layer, Model
from tilewright.isa.region import Region
from tilewright.numerics.quantise import dequantise, quantise
from tilewright.numerics.requantise import pack_scale, quantise_multiplier, requantise

CONFIG = PRESETS["tiny"]
CHANNELS = (5, 6, 3)
HEIGHT, WIDTH = 2, 3
PIXELS = HEIGHT * WIDTH
INPUT = Binding("x", (5, 2, 3), (5, HEIGHT, WIDTH), INPUTS, 64, 0.5, -3)
OUTPUT = Binding("y", (18,), (3, HEIGHT, WIDTH), OUTPUTS, 0, 0.25, 0)
_LANES = CONFIG.cols
_PARTS = ("weight", "bias", "scale")


@dataclass(frozen=True)
class Weights:
    """Of one layer: int8 [inputs, outputs], int32 [outputs] twice."""

    product: np.ndarray
    bias: np.ndarray
    scale: np.ndarray

    def run(self, x):
        """int8 [inputs, pixels] to int8 [outputs, pixels]."""
        sums = self.product.T.astype(np.int32) @ x.astype(np.int32) + self.bias[:, None]
        return np.clip(requantise(sums, self.scale[:, None]), -128, 127).astype(np.int8)

    def packed(self):
        """Its constants: weights [outputs / C][inputs / R][R][C], then a bias and a scale for each block."""
        inputs, outputs = (-(-size // _LANES) for size in self.product.shape)
        padded = np.zeros((inputs * _LANES, outputs * _LANES), np.int8)
        padded[: self.product.shape[0], : self.product.shape[1]] = self.product
        tiles = padded.reshape(inputs * _LANES, outputs, _LANES).transpose(1, 0, 2)
        parameters = np.zeros((2, outputs * _LANES), np.int32)
        parameters[:, : self.product.shape[1]] = self.bias, self.scale
        return tiles.tobytes(), parameters.reshape(2, outputs, _LANES).transpose(1, 0, 2).astype(
            "<i4"
        ).tobytes()


def random_weights(rng, inputs, outputs):
    scale = pack_scale(*quantise_multiplier(rng.uniform(0.002, 0.01, outputs)))
    product = rng.integers(-127, 128, (inputs, outputs), dtype=np.int8)
    return Weights(product, rng.integers(-500, 500, outputs, dtype=np.int32), scale)


WEIGHTS = tuple(random_weights(np.random.default_rng(1), *CHANNELS[i : i + 2]) for i in range(2))


def expected(x):
    """float32 [samples, 5, 2, 3] to float32 [samples, 18], by numpy."""
    q = quantise(np.asarray(x, np.float32), INPUT.scale, INPUT.zero_point)
    rows = [WEIGHTS[1].run(WEIGHTS[0].run(sample.reshape(5, PIXELS))).reshape(18) for sample in q]
    return np.stack([dequantise(row, OUTPUT.scale, OUTPUT.zero_point) for row in rows])


def make_function():
    """The same network as the compiler has it."""
    convolution = QConv2d((1, 1), (0, 0, 0, 0), (1, 1), 1, 0, 0, -128, 127)
    nodes = [
        Node("in", Quantise(INPUT.scale, INPUT.zero_point), ("x",), "q0"),
        *(
            Node(f"layer{i}", convolution, (f"q{i}", *(f"{part}{i}" for part in _PARTS)), f"q{i + 1}")
            for i in range(2)
        ),
        Node("out", Dequantise(OUTPUT.scale, OUTPUT.zero_point), ("q2",), "map"),
        Node("view", reshape(3 * PIXELS), ("map",), "y"),
    ]
    constants = {}
    for i, weights in enumerate(WEIGHTS):
        arrays = (weights.product.T[:, :, None, None], weights.bias, weights.scale)
        constants |= {f"{part}{i}": array for part, array in zip(_PARTS, arrays, strict=True)}
    return network({"x": (1, *INPUT.shape)}, tuple(nodes), ("y",), constants, "hand")


def _layer_text(index, offset, source, target, source_offset):
    weights, _ = WEIGHTS[index].packed()
    inputs, outputs = (-(-size // _LANES) for size in CHANNELS[index : index + 2])
    bank, wait = CONFIG.depth(Memory.ACTIVATION), " wait=store" if index else ""
    yield f"load base=0 offset={offset} memory=weight n_x={inputs * outputs * _LANES} stride_x={_LANES}{wait}"
    yield (
        f"load base=0 offset={offset + len(weights)} memory=parameter n_x={2 * outputs} stride_x={4 * _LANES}"
    )
    yield (
        f"load base={source} offset={source_offset} memory=activation n_x={inputs * PIXELS}"
        f" stride_x={_LANES} signal=matrix"
    )
    for block in range(outputs):
        tokens = (" wait=load" if not block else "") + (" signal=vector" if block == outputs - 1 else "")
        yield (
            f"matrix weight={block * inputs * _LANES} accumulator={block * PIXELS} n_x={PIXELS} stride_x=1"
            f" n_ci={inputs} stride_ci={PIXELS}{tokens}"
        )
    for block in range(outputs):
        tokens = (" wait=matrix" if not block else "") + (" signal=store" if block == outputs - 1 else "")
        yield (
            f"vector to=activation a_from=accumulator a={block * PIXELS} a_stride_1=1 n_1={PIXELS}"
            f" destination={bank + block * PIXELS} destination_stride_1=1 bias=1 requantise=1"
            f" parameter={2 * block}{tokens}"
        )
    yield (
        f"store base={target} memory=activation address={bank} n_x={outputs * PIXELS} stride_x={_LANES}"
        f" bytes={_LANES} wait=vector{'' if index else ' signal=load'}"
    )


def make_runnable():
    """The compiled model with its text, for the CPU."""
    function = make_function().function
    return make_model(graph=print_function(function), tensors=save_tensors(tensors_of(function)))


def make_model(graph="", tensors=b"", **changes):
    """The compiled model."""
    packed = [b"".join(weights.packed()) for weights in WEIGHTS]
    first = list(_layer_text(0, 0, INPUTS, BETWEEN, INPUT.offset))
    second = list(_layer_text(1, len(packed[0]), BETWEEN, OUTPUTS, 0))
    constants = b"".join(packed)
    sizes = {
        CONSTANTS: len(constants),
        INPUTS: INPUT.offset + INPUT.size_bytes(CONFIG),
        OUTPUTS: OUTPUT.size_bytes(CONFIG),
        BETWEEN: 2 * PIXELS * _LANES,
    }
    regions = [Region(base, size, "") for base, size in sizes.items()]
    program = assemble("\n".join([*first, *second, "finish", ""])).program
    members = {
        "executable": Executable.of(program, CONFIG, regions),
        "inputs": (INPUT,),
        "outputs": (OUTPUT,),
        "layers": (
            Layer("expand", "qconv2d", 0, len(first), 5 * 6 * PIXELS),
            Layer("reduce", "qconv2d", len(first), len(second), 6 * 3 * PIXELS),
        ),
        "constants": constants,
        "graph": graph,
        "tensors": tensors,
    }
    return Model(**members | changes)
