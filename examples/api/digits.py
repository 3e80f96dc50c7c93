"""The Python API on the network of handwritten digits: what docs/api.md shows.

python examples/api/digits.py
"""

import re
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

import tilewright
from tilewright import onnx_backend

DIGITS = Path(__file__).resolve().parents[1] / "digits"
NETWORK = DIGITS / "lenet.onnx"

Floats = NDArray[np.float32]


def pictures(first: int, last: int) -> dict[str, Floats]:
    """Some of the pictures as the network was trained on them: float32 [last - first, 1, 28, 28]."""
    with np.load(DIGITS / "pictures.npz") as arrays:
        pixels = arrays["pictures"][first:last]
    return {"x": ((pixels / 255 - 0.1307) / 0.3081).astype(np.float32)[:, None]}


def labels(first: int, last: int) -> NDArray[np.int64]:
    """What is on them."""
    with np.load(DIGITS / "pictures.npz") as arrays:
        return arrays["labels"][first:last].astype(np.int64)


@cache
def compiled() -> tilewright.Package:
    """The network for the accelerator; a hundred pictures choose its scales."""
    return tilewright.compile(NETWORK, calibration=pictures(400, 500))


def recognise() -> str:
    """Digits on the simulated accelerator."""
    result = compiled().run(pictures(0, 100))
    right = (result.outputs["y"].argmax(axis=1) == labels(0, 100)).mean()
    return f"{right:.0%} right, {result.cycles:,} cycles a picture on {result.device}"


def where_cycles_go() -> str:
    """The layers of one picture."""
    layers = compiled().profile(pictures(0, 1))
    return "\n".join(
        f"{each.layer.name:35} {each.cycles:7,} cycles, array busy {each.utilization:4.0%}" for each in layers
    )


def explained() -> str:
    """What runs where."""
    return str(compiled().explain())


def on_every_device() -> str:
    """The same bytes from the simulator and from compiled code of the CPU."""
    given = pictures(0, 10)
    simulated, on_cpu = (compiled().run(given, device=device) for device in ("sim", "cpu"))
    same = np.array_equal(simulated.outputs["y"], on_cpu.outputs["y"])
    return f"same bytes: {same}, cycles: {simulated.cycles:,} and {on_cpu.cycles}"


def again_and_again() -> str:
    """A package that is loaded on a device once, for many runs."""
    loaded = compiled().on("sim")
    answers = [int(loaded.run(pictures(n, n + 1)).outputs["y"].argmax()) for n in range(5)]
    return f"seen {answers}, labels {labels(0, 5).tolist()}"


def from_a_file() -> str:
    """A package that was saved, and is there at once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.twx"
        compiled().save(path)
        package = tilewright.load(path)
    result = package.run(pictures(0, 1))
    return f"{', '.join(package.inputs)} to {', '.join(package.outputs)}: {result.cycles:,} cycles"


def on_another_machine() -> str:
    """Another configuration, and a memory that answers later."""
    package = tilewright.compile(NETWORK, config="tiny", calibration=pictures(400, 500))
    late = tilewright.Environment(latency=100)
    soon, later = package.run(pictures(0, 1)), package.run(pictures(0, 1), environment=late)
    array = f"{package.config.rows} x {package.config.cols} array"
    return f"{array}: {soon.cycles:,} cycles, {later.cycles:,} behind a slow memory"


def near_floats() -> str:
    """How near each layer's integers are to floats."""
    found = tilewright.accuracy(NETWORK, pictures(400, 440))
    lines = [
        f"{each.label:35} {each.snr_db:4.1f} dB, alone {each.alone_snr_db:4.1f} dB" for each in found.layers
    ]
    return "\n".join([*lines, f"outputs {found.snr_db:.1f} dB, {found.same_share:.0%} the same answers"])


def in_floats() -> str:
    """The network as it is, on the CPU."""
    package = tilewright.compile(NETWORK, accelerator=False)
    right = (package.run(pictures(0, 100)).outputs["y"].argmax(axis=1) == labels(0, 100)).mean()
    return f"{right:.0%} right, programs: {package.explain().programs}"


def mixed() -> onnx.ModelProto:
    """Two convolutions with a softmax between; pictures of any width."""
    rng = np.random.default_rng(1)
    weights = {
        name: rng.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in {"w1": (16, 3, 3, 3), "w2": (10, 16, 3, 3)}.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Softmax", ["a"], ["b"], "between", axis=1),
        helper.make_node("Conv", ["b", "w2"], ["y"], "second", pads=[1, 1, 1, 1]),
    ]
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", channels, 16, "width"])
        for name, channels in (("x", 3), ("y", 10))
    )
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "mixed", [x], [y], tensors))


def on_a_page() -> str:
    """The same as a page, and what it shows."""
    page = compiled().report(pictures(0, 1), title="Digits")
    return ", ".join(re.findall("<h2>(.*?)</h2>", page))


def split() -> str:
    """A network that accelerator and CPU share."""
    noise = {"x": np.random.default_rng(2).normal(0, 1, (20, 3, 16, 24)).astype(np.float32)}
    package = tilewright.compile(mixed(), calibration=noise, sizes={"width": 24})
    result = package.run(noise)
    return f"{package.explain()}\n\n{len(result.programs)} programs, {result.cycles:,} cycles a sample"


def as_a_backend() -> str:
    """The same through the interface of the onnx package."""
    prepared = onnx_backend.prepare(onnx.load(NETWORK))
    (scores,) = prepared.run(pictures(0, 5))
    return f"seen {scores.argmax(axis=1).tolist()}"


def refused(**options: Mapping[str, Floats] | dict[str, int] | str | bool) -> str:
    """What is said of options that do not fit."""
    try:
        tilewright.compile(NETWORK, **options)  # type: ignore[arg-type]
    except tilewright.TilewrightError as error:
        return str(error)
    return "nothing"


EXAMPLES = (
    recognise,
    where_cycles_go,
    on_a_page,
    explained,
    on_every_device,
    again_and_again,
    from_a_file,
    on_another_machine,
    near_floats,
    in_floats,
    split,
    as_a_backend,
)


def main() -> int:
    """The command: every example, and what it prints."""
    for example in EXAMPLES:
        print(f"{example.__doc__}\n\n{example()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
