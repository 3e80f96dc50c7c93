"""How many integers of trained QDQ networks are those of ONNX Runtime.

    python -m tests.compiler.quantise.share [--folder FOLDER] [--samples 2000] [--photos 4]

prints for LeNet and EfficientNet-Lite0 the share of equal ones: of each kind of layer when fed the peer's
integers, of all layers from end to end, and of the last one alone. The folder is that of `bench/accuracy.py`.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from tests.compiler.mnist import SHARED
from tests.compiler.quantise.peer import differences, peer_integers, peer_names, values_of

from tilewright.cli.table import format_table
from tilewright.compiler.ops.quantised.operator import QuantisedOperator
from tilewright.compiler.pipeline import load_onnx, quantise

LENET, LITE0 = "mnist-lenet-qdq", "efficientnet-lite0-qdq"
END, LAST = "end to end", "end to end, last layer"


@dataclass
class Shares:
    """Counts by what was compared, and the largest difference of each."""

    elements: Counter = field(default_factory=Counter)
    wrong: Counter = field(default_factory=Counter)
    largest: Counter = field(default_factory=Counter)

    def add(self, what, difference):
        """Count |ours − theirs|."""
        self.elements[what] += difference.size
        self.wrong[what] += int((difference > 0).sum())
        self.largest[what] = max(self.largest[what], int(difference.max()))

    def equal(self, what):
        """The share of integers that are the peer's."""
        return 1 - self.wrong[what] / self.elements[what]


def shares(path, batches):
    """Those of a QDQ network on batches of its one input."""
    found, named, model = Shares(), quantise(load_onnx(path)), onnx.load(path)
    names = peer_names(named, model)
    equations = named.function.equations
    layers = [each for each in equations if isinstance(each.operator, QuantisedOperator)]
    for batch in batches:
        inputs = {named.inputs[0]: batch}
        for equation, difference in differences(named, path, inputs):
            found.add(equation.operator.name, difference)
        ours, theirs = values_of(named, inputs), peer_integers(path, inputs)
        known = [each.results[0] for each in layers if names.get(each.results[0]) in theirs]
        for value in known:
            difference = np.abs(ours[value].ravel().astype(int) - theirs[names[value]].ravel())
            found.add(END, difference)
        found.add(LAST, difference)
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.compiler.quantise.share", description=__doc__)
    parser.add_argument("--folder", type=Path, default=SHARED)
    parser.add_argument("--samples", type=int, default=2000, help="digits for LeNet, at most 10,000")
    parser.add_argument("--photos", type=int, default=4, help="for EfficientNet-Lite0, at most 20")
    options = parser.parse_args()
    # Reads photos by a library that not every environment of the tests has.
    from bench.accuracy import imagenet, mnist

    digits, photos = mnist(options.folder / "data")[0], imagenet(options.folder / "data")[0]
    cases = {LENET: batches(digits[: options.samples], 500), LITE0: batches(photos[: options.photos], 1)}
    rows = []
    for name, inputs in cases.items():
        found = shares(options.folder / "models" / f"{name}.onnx", inputs)
        for what, count in found.elements.items():
            share = f"{found.equal(what):.4%}"
            rows.append((name, what, f"{count:,}", share, str(found.largest[what])))
    print(format_table(("network", "what", "integers", "equal", "largest difference"), rows))


def batches(samples, size):
    """Samples in parts."""
    return [samples[first : first + size] for first in range(0, len(samples), size)]


if __name__ == "__main__":
    main()
