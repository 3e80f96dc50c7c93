"""Accuracy of trained networks in the accelerator's integers, beside floats and ONNX Runtime's integers.

    python bench/accuracy.py --folder FOLDER [--only NAMES]

The folder holds `models/` and `data/`: LeNet and the MNIST test set, EfficientNet-Lite0 and 20 pictures of
ImageNet, a classifier of the direction of text lines and 400 of these. Networks of floats are calibrated on
the first pictures, some of those that are asked, in every way to choose ranges (--ranges NAMES). Integers
run on the CPU; the simulator gives the same bytes for the first sample, which is checked. `dB` is the
distance of the outputs to those of the floats: 10 log10 of the ratio of their squares to those of the
differences. The peer's int8 is the network's own if it has such, else what ONNX Runtime's quantiser makes of
the same calibration data (QDQ, int8, weights by channel, ranges by min-max), exact in integers.
"""

import argparse
import gzip
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization as quantisation
from PIL import Image

import tilewright
from tilewright.cli.table import format_table

HEADER = ("network", "ranges", "samples", "float", "int8", "peer's int8", "dB", "peer's dB", "sim = cpu")
RANGES = ("auto", "min-max", "percentile", "entropy", "mean-square")
PIXELS = 224
CALIBRATION = 200

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """A network and what it is asked.

    Members:
        name: of the network.
        model: the one that is compiled.
        floats: the network in floats.
        inputs: [samples, …].
        labels: [samples].
        calibration: typical inputs; None for a network with scales of its own.
        sizes: numbers for symbolic sizes.
    """

    name: str
    model: Path
    floats: Path
    inputs: Floats
    labels: NDArray[np.int64]
    calibration: Floats | None = None
    sizes: dict[str, int] | None = None

    @property
    def has_scales(self) -> bool:
        """Whether the network brings its own integers, which the peer runs, too."""
        return self.calibration is None


@dataclass(frozen=True)
class Accuracy:
    """What a network answers.

    Members:
        samples: how many were asked.
        floats, integers, peer: the share of right answers in floats, in the accelerator's integers, and in
            the peer's; the last is None if nobody asked it.
        decibels, peer_decibels: distances of the logits to those of the floats.
        same: whether simulator and CPU give the same bytes.
    """

    samples: int
    floats: float
    integers: float
    peer: float | None
    decibels: float
    peer_decibels: float | None
    same: bool

    def row(self, name: str) -> tuple[str, ...]:
        """As texts."""
        peer = "" if self.peer is None else f"{self.peer:.2%}"
        peer_decibels = "" if self.peer_decibels is None else f"{self.peer_decibels:.2f}"
        own = f"{self.floats:.2%}", f"{self.integers:.2%}"
        same = "yes" if self.same else "NO"
        return (name, f"{self.samples:,}", *own, peer, f"{self.decibels:.2f}", peer_decibels, same)


def measured(task: Task, ranges: str, asks_peer: bool) -> Accuracy:
    """The answers of a network and of its peers.

    Args:
        task: what is asked.
        ranges: how the calibration chooses ranges.
        asks_peer: whether ONNX Runtime's integers are asked, too.
    """
    expected = peer_logits(task.floats, task.inputs)
    calibration = None if task.calibration is None else {_input(task.model): task.calibration}
    package = tilewright.compile(task.model, calibration=calibration, ranges=ranges, sizes=task.sizes)
    given = {package.inputs[0]: task.inputs}
    found = np.asarray(package.run(given, device="cpu").outputs[package.outputs[0]])
    one = package.run({package.inputs[0]: task.inputs[:1]})
    peer = _peer(task) if asks_peer else None
    return Accuracy(
        samples=len(task.inputs),
        floats=_right(expected, task),
        integers=_right(found, task),
        peer=None if peer is None else _right(peer, task),
        decibels=decibels(expected, found),
        peer_decibels=None if peer is None else decibels(expected, peer),
        same=np.array_equal(one.outputs[package.outputs[0]], found[:1]),
    )


def _peer(task: Task) -> Floats:
    """What ONNX Runtime's integers answer: those of the network, or those that it makes itself."""
    if task.calibration is None:
        return peer_logits(task.model, task.inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantisation.quantize_static(
            str(task.model),
            str(path),
            _Samples(_input(task.model), task.calibration),
            per_channel=True,
            activation_type=quantisation.QuantType.QInt8,
            weight_type=quantisation.QuantType.QInt8,
        )
        return peer_logits(path, task.inputs)


class _Samples(quantisation.CalibrationDataReader):
    """Calibration data as ONNX Runtime asks for them: sample by sample."""

    def __init__(self, name: str, arrays: Floats) -> None:
        self._rows = ({name: each[None]} for each in arrays)

    def get_next(self) -> dict[str, Floats] | None:
        """The next sample, or None."""
        return next(self._rows, None)


def peer_logits(path: Path, inputs: Floats) -> Floats:
    """What ONNX Runtime answers, sample by sample, exact in integers on every CPU."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    # Its quantiser leaves constants behind that nothing reads: a warning each.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: each[None]})[0] for each in inputs])


def decibels(expected: Floats, found: Floats) -> float:
    """Of a signal to its errors."""
    return float(10 * np.log10((expected**2).sum() / ((expected - found) ** 2).sum()))


def tasks(folder: Path) -> Iterator[Task]:
    """All of them."""
    models, data = folder / "models", folder / "data"
    pictures, digits = mnist(data)
    qdq, floats = models / "mnist-lenet-qdq.onnx", models / "mnist-lenet.onnx"
    yield Task("mnist-lenet", floats, floats, pictures, digits, pictures[:CALIBRATION])
    yield Task("mnist-lenet-qdq", qdq, floats, pictures, digits)
    photos, classes = imagenet(data)
    qdq, floats = models / "efficientnet-lite0-qdq.onnx", models / "efficientnet-lite0.onnx"
    yield Task("efficientnet-lite0", floats, floats, photos, classes, photos)
    yield Task("efficientnet-lite0-qdq", qdq, floats, photos, classes)
    lines, directions = text_lines(data)
    path = models / "ppocr-direction.onnx"
    sizes = {"x_2": lines.shape[2], "x_3": lines.shape[3]}
    yield Task("ppocr-direction", path, path, lines, directions, lines[:CALIBRATION], sizes)


def mnist(data: Path) -> tuple[Floats, NDArray[np.int64]]:
    """The MNIST test set as LeNet takes it: float32 [10000, 1, 28, 28], and its digits."""
    pixels = np.frombuffer(
        gzip.decompress((data / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16
    )
    labels = np.frombuffer(
        gzip.decompress((data / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8
    )
    pictures = (pixels.reshape(-1, 1, 28, 28) / 255 - 0.1307) / 0.3081
    return pictures.astype(np.float32), labels.astype(np.int64)


def imagenet(data: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Pictures as EfficientNet-Lite0 takes them: float32 [n, 3, 224, 224], and their classes."""
    paths = sorted(data.glob("imagenet_*.jpg"))
    return np.stack([_photo(path) for path in paths]), np.array(
        [int(path.stem.split("_")[2]) for path in paths]
    )


def _photo(path: Path) -> Floats:
    """The middle of a picture, 224 of 256 of its side, in (pixel - 127) / 128."""
    picture = Image.open(path).convert("RGB")
    side = int(min(picture.size) * PIXELS / 256)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    part = picture.crop((left, top, left + side, top + side)).resize(
        (PIXELS, PIXELS), Image.Resampling.BICUBIC
    )
    return ((np.asarray(part, np.float32) - 127) / 128).transpose(2, 0, 1)


def text_lines(data: Path) -> tuple[Floats, NDArray[np.int64]]:
    """Lines of text as the classifier takes them: float32 [400, 3, 48, 192]; 1 for those upside down."""
    with np.load(data / "direction.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return ((images / 255 - 0.5) / 0.5).astype(np.float32).transpose(0, 3, 1, 2), labels.astype(np.int64)


def _right(logits: Floats, task: Task) -> float:
    return float((logits.reshape(len(logits), -1).argmax(axis=1) == task.labels).mean())


def _input(path: Path) -> str:
    return str(onnxruntime.InferenceSession(str(path)).get_inputs()[0].name)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(__file__).parents[2] / "shared")
    parser.add_argument("--only", default="", help="names of networks, with commas between")
    parser.add_argument("--ranges", default=",".join(RANGES), help="ways to choose ranges (default: all)")
    arguments = parser.parse_args()
    if not (arguments.folder / "models").is_dir():
        print(f"skipped: {arguments.folder} has no trained networks: --folder FOLDER")
        return
    wanted = [name for name in arguments.only.split(",") if name]
    rows = []
    for task in tasks(arguments.folder):
        if not wanted or task.name in wanted:
            for ranges in ("",) if task.has_scales else arguments.ranges.split(","):
                is_first = not rows or rows[-1][0] != task.name
                row = measured(task, ranges or RANGES[0], is_first).row(task.name)
                rows.append((row[0], ranges, *row[1:]))
                print("  ".join(rows[-1]), flush=True)
    print(format_table(HEADER, rows))


if __name__ == "__main__":
    main()
