"""Recognises handwritten digits on the simulated accelerator, and counts the cycles again in the gates.

    python examples/digits_demo.py [--config reference] [--rtl-config tiny] [--samples 100] [--without-rtl]

A trained network (examples/digits) is read, quantised, compiled and run; then, for one picture, simulator
and gates must give the same answer in the same number of cycles.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilewright.cli.machine import make_device
from tilewright.cli.summary import format_layers, layer_reports
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.pipeline import compile_model, load_onnx, quantise
from tilewright.isa.config import load_config
from tilewright.isa.error import TilewrightError
from tilewright.isa.model import Model
from tilewright.runtime.model_runner import ModelResult, ModelRunner
from tilewright.runtime.profile import costliest

FOLDER = Path(__file__).parent / "digits"
CALIBRATION = 100
"""Pictures at the end of the file that set the scales; the others are recognised."""
_SHOWN = 5
_SHADES = " .:+#@"

Floats = NDArray[np.float32]


def read_pictures() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures, uint8 [n, 28, 28], and the digit on each, uint8 [n]."""
    with np.load(FOLDER / "pictures.npz") as arrays:
        return arrays["pictures"], arrays["labels"]


def as_input(pictures: NDArray[np.uint8]) -> dict[str, Floats]:
    """What the network was trained on."""
    scaled = (pictures.astype(np.float32) / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)
    return {"x": scaled[:, None]}


def read_network() -> NamedFunction:
    """The network in integers."""
    pictures, _ = read_pictures()
    return quantise(load_onnx(FOLDER / "lenet.onnx"), as_input(pictures[-CALIBRATION:]))


def draw(pictures: NDArray[np.uint8]) -> str:
    """Pictures side by side as text, two rows a line."""
    rows = pictures[:, ::2].transpose(1, 0, 2)
    shades = np.array(list(_SHADES))[rows.astype(np.int64) * len(_SHADES) // 256]
    lines = (" ".join("".join(picture) for picture in line).rstrip() for line in shades)
    return "\n".join(lines).strip("\n")


def main() -> int:
    """The command: 0 if most digits are recognised, and simulator and gates agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="reference", help="to recognise with (default: %(default)s)")
    parser.add_argument("--rtl-config", default="tiny", help="of the gates (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=100, help="pictures (default: %(default)s)")
    parser.add_argument("--without-rtl", action="store_true", help="leave the gates out")
    options = parser.parse_args()
    try:
        network = read_network()
        right = recognise(network, options.config, options.samples)
        return 0 if right and (options.without_rtl or compare(network, options.rtl_config)) else 1
    except TilewrightError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def recognise(network: NamedFunction, config: str, samples: int) -> bool:
    """Recognise pictures on the simulator and print what it takes; whether most are right."""
    pictures, labels = read_pictures()
    pictures, labels = pictures[:-CALIBRATION][:samples], labels[:-CALIBRATION][:samples]
    model = compile_model(network, load_config(config))
    result = run_on("sim", model, pictures)
    seen = answers(result)
    print(draw(pictures[:_SHOWN]))
    print(f"\nseen {' '.join(map(str, seen[:_SHOWN]))}, labels {' '.join(map(str, labels[:_SHOWN]))}")
    correct = int((seen == labels).sum())
    print(f"{correct} of {len(labels)} right (top-1 {correct / len(labels):.1%})\n")
    print_costs(config, model, result)
    return correct > 0.9 * len(labels)


def print_costs(config: str, model: Model, result: ModelResult) -> None:
    """Cycles of a picture, layer by layer."""
    print(format_layers(layer_reports([result])))
    utilization = model.macs / (result.cycles * model.config.peak_macs)
    print(
        f"\n{result.cycles:,} cycles a picture on {config}, {utilization:.1%} of the array's products,",
        end=" ",
    )
    print(f"{result.seconds / result.samples * 1000:.2g} ms a picture on the simulator")
    most = costliest(result.layers)
    if most is not None:
        print(f"{most.layer.name} costs most: {most.cycles / result.cycles:.0%} of the cycles")


def compare(network: NamedFunction, config: str) -> bool:
    """Run one picture on the simulator and in the gates; whether they say the same."""
    pictures, _ = read_pictures()
    model = compile_model(network, load_config(config))
    results = [run_on(device, model, pictures[:1]) for device in ("sim", "rtl")]
    cycles = [result.cycles for result in results]
    print(f"\none picture on {config}: {cycles[0]:,} cycles on the simulator, {cycles[1]:,} in the gates")
    outputs = [result.outputs["y"] for result in results]
    same = cycles[0] == cycles[1] and np.array_equal(*outputs)
    print(f"same cycles and same scores: {'yes' if same else 'NO'}")
    return same


def run_on(device: str, model: Model, pictures: NDArray[np.uint8]) -> ModelResult:
    """Run pictures on a device by its name."""
    return ModelRunner(model, make_device(device, model.config)).run(as_input(pictures))


def answers(result: ModelResult) -> NDArray[np.int64]:
    """The digit seen on each picture."""
    return result.outputs["y"].argmax(axis=1)


if __name__ == "__main__":
    sys.exit(main())
