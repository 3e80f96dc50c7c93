"""What training for integers gives back, on samples that are not trained on.

    python bench/finetune.py [--folder FOLDER] [--only NAMES] [--epochs N]

Each network is calibrated by measuring (`ranges="auto"`), then trained; integers run on the CPU. `residual`
is a network of three inverted residual blocks, trained here on 1,437 small handwritten digits; 360 others are
held out. In `residual, spread` the channels of its residual stream are multiplied by powers of two, up to 2^5
either way, and divided again by who reads them: the same function in floats, bit by bit, but one scale no
longer suits all channels, and no equalisation of two layers can undo it, since sums read the stream as well.
The folder holds `models/` and `data/` as for bench/accuracy.py: LeNet on 2,000 pictures of MNIST's test set
and 2,000 others, the classifier of directions of text lines on 200 lines and 200 others.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accuracy import decibels, mnist, text_lines
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from digits_training import is_held_out, read_pictures, shifted

import tilewright
from tilewright.api.finetune import FinetuneOptions, Finetuning
from tilewright.api.training import Training, TrainingOptions
from tilewright.cli.table import format_table
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.clip import Clip
from tilewright.compiler.ops.nn.convolution import convolution

HEADER = ("network", "wanted", "float", "calibrated", "dB", "trained", "dB", "epochs", "s")
CHANNELS, EXPANDED, BLOCKS = 24, 72, 3
SPREAD = 5
"""Of the exponents of what multiplies channels, either way."""
HALF_PICTURES, HALF_LINES = 2000, 200

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
Weights = dict[str, Floats]


@dataclass(frozen=True)
class Task:
    """A network, what it is trained on, and what is held out.

    Members:
        name: of the network.
        model: a file, or a function.
        inputs, labels: that are trained on.
        held_out, held_out_labels: of which training knows nothing, the choice of the best epoch included.
        options: how it is trained.
        by_labels: whether labels are wanted, not the outputs of the floats.
        sizes: numbers for symbolic sizes.
    """

    name: str
    model: Path | NamedFunction
    inputs: Floats
    labels: Labels
    held_out: Floats
    held_out_labels: Labels
    options: FinetuneOptions
    by_labels: bool = False
    sizes: dict[str, int] | None = None


def row(task: Task) -> tuple[str, ...]:
    """What a network answers in floats, calibrated and trained, as texts."""
    begun = time.perf_counter()
    training = Finetuning(
        task.model,
        {"x": task.inputs},
        task.labels if task.by_labels else None,
        options=task.options,
        sizes=task.sizes,
    )
    epochs = list(training.run())
    seconds = time.perf_counter() - begun
    best = max(each.number for each in epochs if each.is_best)
    floats = _outputs(tilewright.compile(task.model, accelerator=False, sizes=task.sizes), task)
    answers = [_outputs(tilewright.compile(each), task) for each in (training.calibrated, training.network)]
    figures = [text for each in answers for text in (_right(each, task), f"{decibels(floats, each):.1f}")]
    wanted = "labels" if task.by_labels else "floats"
    times = f"{best} of {len(epochs) - 1}", f"{seconds:.0f}"
    return (task.name, wanted, _right(floats, task), *figures, *times)


def _outputs(package: tilewright.Package, task: Task) -> Floats:
    """The answers to what is held out, a row a sample."""
    (found,) = package.run({"x": task.held_out}, device="cpu").outputs.values()
    return found.reshape(len(found), -1)


def _right(answers: Floats, task: Task) -> str:
    return f"{np.mean(answers.argmax(axis=1) == task.held_out_labels):.1%}"


def residual(weights: Weights) -> NamedFunction:
    """Three inverted residual blocks (Sandler et al., 2018) between two convolutions, and a dense layer."""
    b = Builder("residual")
    x = b.parameter("x", TensorType(DType.FLOAT32, (Size.of("n"), 1, 8, 8)))

    def layer(value: Value, name: str, groups: int = 1, limited: bool = True) -> Value:
        weight, bias = (b.constant(weights[f"{name}.{kind}"]) for kind in ("weight", "bias"))
        pad = weight.type.numbers[2] // 2
        made = convolution(b, value, weight, bias, (1, 1), (pad,) * 4, (1, 1), groups)
        return b.emit(Clip(0.0, 6.0), made) if limited else made

    stream = layer(x, "stem", limited=False)
    for block in range(BLOCKS):
        inner = layer(layer(stream, f"{block}.expand"), f"{block}.depth", groups=EXPANDED)
        stream = e.add(b, stream, layer(inner, f"{block}.project", limited=False))
    features = e.mean(b, layer(stream, "last"), (2, 3))
    scores = e.matmul(b, features, b.constant(weights["dense.weight"]))
    scores = e.add(b, scores, b.constant(weights["dense.bias"]))
    return NamedFunction(b.function(scores), ("x",), ("y",))


def fresh(seed: int) -> Weights:
    """Random weights (He et al., 2015), and biases near 0."""
    rng, found = np.random.default_rng(seed), dict[str, Floats]()
    shapes = {"stem": (CHANNELS, 1, 3, 3)}
    for block in range(BLOCKS):
        shapes[f"{block}.expand"] = (EXPANDED, CHANNELS, 1, 1)
        shapes[f"{block}.depth"] = (EXPANDED, 1, 3, 3)
        shapes[f"{block}.project"] = (CHANNELS, EXPANDED, 1, 1)
    shapes |= {"last": (64, CHANNELS, 1, 1), "dense": (64, 10)}
    for name, shape in shapes.items():
        inputs = shape[0] if len(shape) == 2 else np.prod(shape[1:])
        outputs = shape[1] if len(shape) == 2 else shape[0]
        found[f"{name}.weight"] = (rng.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
        found[f"{name}.bias"] = (0.01 * rng.standard_normal(outputs)).astype(np.float32)
    return found


def trained_weights(pictures: Floats, labels: Labels, seed: int) -> Weights:
    """Weights of `residual` behind 30 epochs in floats."""
    start = fresh(seed)
    training = Training(residual(start), TrainingOptions(epochs=30, rate=4e-3, seed=seed))
    for _ in training.run({"x": pictures}, labels, vary=shifted):
        pass
    named = {array.tobytes(): name for name, array in start.items()}
    return {
        named[before.tobytes()]: after for before, after in zip(training.start, training.weights, strict=True)
    }


def with_spread_channels(weights: Weights, seed: int) -> Weights:
    """The same network, channels of its residual stream multiplied by powers of two."""
    exponents = np.round(np.random.default_rng(seed).uniform(-SPREAD, SPREAD, CHANNELS))
    factor, found = np.float32(2) ** exponents.astype(np.float32), dict(weights)
    for name in ("stem", *(f"{block}.project" for block in range(BLOCKS))):
        found[f"{name}.weight"] = weights[f"{name}.weight"] * factor[:, None, None, None]
        found[f"{name}.bias"] = weights[f"{name}.bias"] * factor
    for name in ("last", *(f"{block}.expand" for block in range(BLOCKS))):
        found[f"{name}.weight"] = weights[f"{name}.weight"] / factor[:, None, None]
    return found


def digit_tasks(epochs: int | None) -> Iterator[Task]:
    """The residual network as it was trained, and with its channels spread."""
    pictures, labels = read_pictures()
    apart = is_held_out(len(labels))
    weights = trained_weights(pictures[~apart], labels[~apart], 0)
    given = pictures[~apart], labels[~apart], pictures[apart], labels[apart]
    options = FinetuneOptions(epochs=epochs or 20, learning_rate=1e-4)
    yield Task("residual", residual(weights), *given, options)
    spread = residual(with_spread_channels(weights, 5))
    options = FinetuneOptions(epochs=epochs or 40, learning_rate=1e-3)
    for by_labels in (False, True):
        yield Task("residual, spread", spread, *given, options, by_labels)


def file_tasks(folder: Path, epochs: int | None) -> Iterator[Task]:
    """The networks of a folder."""
    pictures, digits = mnist(folder / "data")
    halves = (
        pictures[:HALF_PICTURES],
        digits[:HALF_PICTURES],
        pictures[-HALF_PICTURES:],
        digits[-HALF_PICTURES:],
    )
    options = FinetuneOptions(epochs=epochs or 5, learning_rate=3e-5)
    yield Task("mnist-lenet", folder / "models" / "mnist-lenet.onnx", *halves, options)
    lines, directions = text_lines(folder / "data")
    halves = lines[:HALF_LINES], directions[:HALF_LINES], lines[HALF_LINES:], directions[HALF_LINES:]
    sizes = {"x_2": lines.shape[2], "x_3": lines.shape[3]}
    options = FinetuneOptions(epochs=epochs or 8, batch=20, learning_rate=5e-5)
    yield Task("ppocr-direction", folder / "models" / "ppocr-direction.onnx", *halves, options, sizes=sizes)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--only", default="", help="names of networks, with semicolons between")
    parser.add_argument("--epochs", type=int, help="of each (default: what suits it)")
    arguments = parser.parse_args()
    wanted = [name for name in arguments.only.split(";") if name]
    rows = []
    is_there = (arguments.folder / "models").is_dir()
    for tasks in (
        digit_tasks(arguments.epochs),
        file_tasks(arguments.folder, arguments.epochs) if is_there else (),
    ):
        for task in tasks:
            if not wanted or task.name in wanted:
                rows.append(row(task))
                print("  ".join(rows[-1]), flush=True)
    print(format_table(HEADER, rows))


if __name__ == "__main__":
    main()
