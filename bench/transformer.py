"""A transformer's layer on the accelerator: cycles of programs, bounds of steps, accuracy of attention.

    python bench/transformer.py [--config reference] [--sequence 128] [--wide 768 --heads 12 --inner 3072]

A layer of BERT's base (Devlin et al., 2018) with seeded weights, calibrated on random inputs. `array`,
`vector` and `bus` are the cycles that a step's instructions ask of each, without any wait, and the most of
these is its bound; `cycles` are the simulator's, those by which a step moves the end: what it loads while the
step before still computes costs it none. The CPU has the same bytes. Behind it a decode step of one token,
whose weights pass the bus for one column; and attention alone in three forms, as decibels of its output
against floats:

    plain      a softmax as int8 of 1/127
    by row     exponentials of a row, of which the largest is 127, divided by their sum behind the product
    two parts  as compiled: a coarse and a fine part, both rows of one product

The first two are computed with NumPy, of the same integers of q, k, v and scores, and round nothing behind
the product; `floats` is the softmax itself between these. The third is the compiled network, output as int8.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.zoo.language import attention_alone, decoder, encoder_layer

import tilewright
from tilewright.cli.table import format_table
from tilewright.isa.config import INSTRUCTION_BYTES, Config, load_config
from tilewright.isa.encoding import ProgramTable, decode_table
from tilewright.isa.instruction import Opcode
from tilewright.isa.memory import Memory

Arrays = Mapping[str, Any]
SAMPLES = 2
SHARP = 4.0
"""Factor of queries whose softmaxes are sharp."""


# --- cycles ------------------------------------------------------------------------------------------------


def compiled(model: onnx.ModelProto, config: str, samples: Arrays, sizes: Mapping[str, int]) -> Any:
    """The package of a model."""
    return tilewright.compile(
        model, config=config, calibration=samples, ranges="min-max", sizes=sizes, accelerator=True
    )


def ran(package: Any, samples: Arrays) -> tuple[Any, bool]:
    """The run of a sample on the simulator, and whether the CPU has the same bytes."""
    simulated, host = package.run(samples), package.run(samples, device="cpu")
    return simulated, all(np.array_equal(x, host.outputs[name]) for name, x in simulated.outputs.items())


def programs(result: Any, peak: int) -> str:
    """A line for each program: its layers, cycles, products, and percent of the array's peak."""
    rows = []
    for number, program in enumerate(result.programs):
        macs = sum(each.layer.macs for each in program.layers)
        rows.append((str(number), *_shares(program.cycles, macs, peak), str(len(program.layers))))
    total = sum(each.layer.macs for program in result.programs for each in program.layers)
    rows.append(("all", *_shares(result.cycles, total, peak), ""))
    return format_table(("program", "cycles", "MACs", "of peak", "layers"), rows)


def _shares(cycles: int, macs: int, peak: int) -> tuple[str, str, str]:
    return f"{cycles:,}", f"{macs:,}", f"{macs / (peak * cycles):.1%}"


def bounds(package: Any, result: Any, config: Config) -> str:
    """A line for each step: cycles that it asks of each engine, and those that it takes."""
    rows = []
    parts = [package.parts[each] for each in package.parts]
    for part, program in zip(parts, result.programs, strict=True):
        table = decode_table(part.model.executable.code)
        for profile in program.layers:
            layer = profile.layer
            asked = _asked(table, range(layer.first, layer.first + layer.count), config)
            engine = max(asked, key=asked.__getitem__)
            cells = [f"{asked[name]:,}" for name in ("array", "vector", "bus")]
            share = f"{asked[engine] / profile.cycles:.1%}" if profile.cycles else ""
            rows.append((layer.name, layer.operator, *cells, engine, f"{profile.cycles:,}", share))
    header = ("step", "operator", "array", "vector", "bus", "bound by", "cycles", "bound / cycles")
    return format_table(header, rows)


def _asked(table: ProgramTable, span: range, config: Config) -> dict[str, int]:
    """Cycles that instructions ask of the array, the vector engine and the bus, without any wait."""

    def product(opcode: Opcode, *names: str) -> tuple[Any, Any]:
        part = table.classes[opcode]
        own = (part.rows >= span.start) & (part.rows < span.stop)
        return own, np.prod([part.fields[name] for name in names], axis=0) * own

    loops = ("n_y", "n_x", "n_ci", "n_ky", "n_kx")
    array, vector = product(Opcode.MATRIX, *loops)[1], product(Opcode.VECTOR, "n_0", "n_1", "n_2", "n_3")[1]
    loads, stores = (product(each, "n_z", "n_y", "n_x")[1] for each in (Opcode.LOAD, Opcode.STORE))
    sizes = np.array([config.vector_bytes(memory) for memory in Memory])
    of_loads = sizes[table.classes[Opcode.LOAD].fields["memory"]]
    moved = (loads * of_loads).sum() + (stores * table.classes[Opcode.STORE].fields["bytes"]).sum()
    moved += INSTRUCTION_BYTES * len(span)
    return {
        "array": int(array.sum()),
        "vector": int(vector.sum()),
        "bus": -(-int(moved) // config.bus_bytes),
    }


# --- accuracy ----------------------------------------------------------------------------------------------


def attention_data(heads: int, tokens: int, size: int) -> dict[str, tuple[Any, Any, Any]]:
    """Queries, keys and values (samples, heads, tokens, size) of three kinds.

    `random` are normal. `peaked` look like those of trained networks: queries are like the keys of the token
    before, more so in each head than in the one before it, and keys and values have a mean of their own in
    each head. `sharp` are normal, with queries of four times the size.
    """
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> Any:
        return rng.standard_normal(shape)

    shape = SAMPLES, heads, tokens, size
    keys = normal(*shape)
    near = 0.8 * np.roll(keys, 1, 2) + 0.3 * np.roll(keys, 2, 2) + 0.6 * normal(*shape)
    sharpness = np.linspace(0.3, 1.3, heads)[:, None, None]
    of_head = normal(1, heads, 1, size)
    return {
        "random": (normal(*shape), normal(*shape), normal(*shape)),
        "peaked": (sharpness * near, keys + 2 * of_head, normal(*shape) + 0.5 * normal(1, heads, 1, size)),
        "sharp": (SHARP * normal(*shape), normal(*shape), normal(*shape)),
    }


def accuracy(config: str, heads: int, tokens: int, size: int) -> str:
    """A line for each kind of data: decibels of attention's output in three forms."""
    rows = []
    for name, (q, k, v) in attention_data(heads, tokens, size).items():
        exact = _softmax(_scores(q, k)) @ v
        integers = [_symmetric(each) for each in (q, k, v)]
        scores = _spread(_scores(*integers[:2]))
        forms = (_softmax(scores), _plain(scores), _by_row(scores))
        cells = [_decibels(exact, shares @ integers[2]) for shares in forms]
        model = attention_alone(heads, size)
        samples = {each: _joined(array) for each, array in zip("qkv", (q, k, v), strict=True)}
        samples["mask"] = np.full((SAMPLES, 1, 1, tokens), 1e-6, np.float32)
        package = compiled(model, config, samples, {"sequence": tokens})
        found, is_equal = ran(package, {each: array[:1] for each, array in samples.items()})
        cells.append(_decibels(_joined(exact)[:1], found.outputs["y"]))
        rows.append((name, *(f"{cell:.1f}" for cell in cells), "yes" if is_equal else "NO"))
    header = ("data", "floats, dB", "plain, dB", "by row, dB", "two parts, dB", "sim = cpu")
    return format_table(header, rows)


def _joined(array: Any) -> Any:
    """(samples, heads, tokens, size) as (samples, tokens, heads · size)."""
    samples, heads, tokens, size = array.shape
    return array.transpose(0, 2, 1, 3).reshape(samples, tokens, heads * size).astype(np.float32)


def _scores(q: Any, k: Any) -> Any:
    return q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5


def _symmetric(x: Any) -> Any:
    step = np.abs(x).max() / 127
    return np.rint(x / step) * step


def _spread(x: Any) -> Any:
    step = (max(x.max(), 0) - min(x.min(), 0)) / 255
    return np.rint(x / step) * step


def _softmax(x: Any) -> Any:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _plain(scores: Any) -> Any:
    return np.rint(_softmax(scores) * 127) / 127


def _by_row(scores: Any) -> Any:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return np.rint(powers * 127) / 127 / powers.sum(-1, keepdims=True)


def _decibels(exact: Any, found: Any) -> float:
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - found).sum()))


# --- the whole ---------------------------------------------------------------------------------------------


def layer(arguments: argparse.Namespace, machine: Config) -> None:
    """Prints what a layer of the encoder costs."""
    rng, tokens = np.random.default_rng(1), arguments.sequence
    samples = {
        "x": rng.standard_normal((SAMPLES, tokens, arguments.wide)).astype(np.float32),
        "mask": np.ones((SAMPLES, tokens), np.int64),
    }
    model = encoder_layer(arguments.wide, arguments.heads, arguments.inner)
    one = {name: array[:1] for name, array in samples.items()}
    floats = tilewright.compile(model, accelerator=False).run(one).outputs["states"]
    package = compiled(model, arguments.config, samples, {"sequence": tokens})
    result, is_equal = ran(package, one)
    print(f"{_described(arguments)}, {tokens} tokens:\n")
    print(programs(result, machine.peak_macs), end="\n\n")
    print(bounds(package, result, machine), end="\n\n")
    noise = _decibels(floats.astype(np.float64), result.outputs["states"])
    print(f"states at {noise:.1f} dB; sim = cpu: {'yes' if is_equal else 'NO'}\n")


def decode_step(arguments: argparse.Namespace, machine: Config) -> None:
    """Prints what a layer of a decoder costs for one token behind a cache."""
    heads, wide, past = arguments.heads, arguments.wide, arguments.sequence - 1
    rng, cache = np.random.default_rng(2), (1, heads, past, wide // heads)
    model = decoder(wide, heads, 1, most=2 * arguments.sequence)
    samples = {"ids": np.ones((1, 1), np.int64)}
    samples |= {name: rng.standard_normal(cache).astype(np.float32) for name in ("keys0", "values0")}
    package = compiled(model, arguments.config, samples, {"length": 1, "past": past})
    result, is_equal = ran(package, samples)
    print(f"decode step of {wide} features behind {past} tokens, one layer and a head of 50 words:\n")
    print(programs(result, machine.peak_macs), end=f"\n\nsim = cpu: {'yes' if is_equal else 'NO'}\n\n")


def _described(arguments: argparse.Namespace) -> str:
    return (
        f"layer of {arguments.wide} features, {arguments.heads} heads, {arguments.inner} between, "
        f"on {arguments.config}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="reference")
    for name, default in (("sequence", 128), ("wide", 768), ("heads", 12), ("inner", 3072)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    machine = load_config(arguments.config)
    layer(arguments, machine)
    decode_step(arguments, machine)
    size = arguments.wide // arguments.heads
    print("attention alone:\n")
    print(accuracy(arguments.config, arguments.heads, arguments.sequence, size))


if __name__ == "__main__":
    main()
