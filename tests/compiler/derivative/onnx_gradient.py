"""Gradients of the node tests of the onnx package, by central differences in float64.

`python -m tests.compiler.derivative.onnx_gradient` checks all of them; the test suite a share.
"""

import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

from tilewright.compiler.derivative.activity import flattened
from tilewright.compiler.derivative.pullback import pullback
from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.onnx import import_model
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.numerics.error import TilewrightError

STEP = 2.0**-17
"""A power of two: with directions of few digits, and inputs of not too many, a step is exact."""
_MOST_ELEMENTS = 20_000
"""Of all inputs: larger cases take long and say nothing more."""
_NARROW = (DType.FLOAT32, DType.FLOAT16)


@dataclass
class Tally:
    """What was checked.

    Members:
        first, second: cases whose first and second derivatives are right.
        operators: of ONNX, with a right gradient.
        wrong: by case, what is.
        without: cases by the reason why they have no gradient.
    """

    first: int = 0
    second: int = 0
    operators: set[str] = field(default_factory=set)
    wrong: dict[str, str] = field(default_factory=dict)
    without: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"{self.first} gradients right over {len(self.operators)} ONNX operators, "
            f"{self.second} second derivatives right, {len(self.wrong)} wrong"
        )


def widened(function: Function) -> Function:
    """The function with float64 in place of narrower floats; composites by their definitions."""
    flat = flattened(function)
    b = Builder(flat.name)
    parameters = [b.parameter(value.name, _wide_type(value.type)) for value in flat.parameters]

    def each(b, equation, operator, operands):
        return b.apply(operator.mapped(_wide), *operands)

    return b.function(*inline(b, flat, parameters, each))


def _wide(leaf):
    match leaf:
        case DType():
            return DType.FLOAT64 if leaf in _NARROW else leaf
        case Literal():
            return Literal(leaf.array.astype(_wide(leaf.type.dtype).numpy))
        case Function():
            return widened(leaf)
    return leaf


def _wide_type(tensor: TensorType) -> TensorType:
    return tensor.with_dtype(_wide(tensor.dtype))


def arrays_of(case) -> list:
    """The inputs of a case's first set of data."""
    folder = sorted(Path(case.model_dir).glob("test_data_set_*"))[0]
    paths = [folder / f"input_{index}.pb" for index in range(len(list(folder.glob("input_*.pb"))))]
    found = [onnx.TensorProto.FromString(path.read_bytes()) for path in paths]
    return [onnx.numpy_helper.to_array(each) for each in found]


def imported(model, arrays) -> Function:
    """The main function for these inputs, whose elements are known where shapes need them."""
    known = {}
    names = [value.name for value in model.graph.input]
    while True:
        try:
            return import_model(model, known).main
        except UnknownInputsError as error:
            if set(error.inputs) <= set(known):
                raise
            given = dict(zip(names, arrays, strict=False))
            known.update({name: given[name] for name in error.inputs})


def moved(arrays, rng) -> list:
    """Float inputs a little larger: away from kinks and ties, which examples like to show."""
    found = []
    for array in arrays:
        if array.dtype.kind == "f":
            wide = array.astype(np.float64)
            wide = wide * (1 + 1e-3 * rng.uniform(0.25, 1, wide.shape)) + 5e-4 * rng.uniform(
                0.1, 1, wide.shape
            )
            array = np.round(wide * 2.0**36) / 2.0**36
        found.append(array)
    return found


def mistake(function: Function, arrays, rng) -> tuple[str, list, Function]:
    """What is wrong with the pullback along one random direction of each float input; "" if nothing is.

    Returns:
        that, the cotangents of the float results, and the pullback.
    """
    back = pullback(function)
    floats = [y for y in run(function, *arrays) if y.dtype == np.float64]
    # What is infinite, or no number, has no derivative.
    weights = [np.where(np.isfinite(y), rng.normal(size=y.shape), 0.0) for y in floats]
    found = run(back, *arrays, *weights)
    places = [place for place, x in enumerate(arrays) if x.dtype == np.float64]
    for cotangent, place in zip(found, places, strict=True):
        shape = arrays[place].shape
        direction = rng.integers(512, 1024, shape) * rng.choice([-1, 1], shape) / 1024
        slope, scale = _slope(function, arrays, place, direction, weights)
        own = float((cotangent * direction).sum())
        if not abs(own - slope) <= 1e-6 * max(abs(own), abs(slope)) + 1e-9 * scale + 1e-7:
            return f"input {place}: {own} for {slope}", weights, back
    return "", weights, back


def _slope(function: Function, arrays, place, direction, weights) -> tuple[float, float]:
    """The derivative by differences at two steps, extrapolated (Richardson), and the scale of sums."""
    slopes, scale = [], 0.0
    for step in (STEP, STEP / 2):
        ends = []
        for signed in (step, -step):
            inputs = [*arrays[:place], arrays[place] + signed * direction, *arrays[place + 1 :]]
            ends.append([y for y in run(function, *inputs) if y.dtype == np.float64])
        total = 0.0
        for y, z, w in zip(*ends, weights, strict=True):
            is_finite = np.isfinite(y) & np.isfinite(z)
            total += float(((y - z) * w)[is_finite].sum()) / (2 * step)
            scale += float(np.abs(y * w)[is_finite].sum())
        slopes.append(total)
    return (4 * slopes[1] - slopes[0]) / 3, scale


def check(case, tally: Tally) -> None:
    """Adds a case to the tally."""
    model = onnx.load(Path(case.model_dir) / "model.onnx")
    if not all(value.type.HasField("tensor_type") for value in model.graph.input):
        tally.without["inputs are no tensors"] += 1
        return
    arrays = arrays_of(case)
    try:
        function = imported(model, arrays)
    except TilewrightError:
        tally.without["it is not imported"] += 1
        return
    is_float = [
        any(value.type.dtype.is_float for value in each) for each in (function.parameters, function.results)
    ]
    if not all(is_float) or sum(array.size for array in arrays) > _MOST_ELEMENTS:
        tally.without["no floats, or many"] += 1
        return
    rng = np.random.default_rng(sum(case.name.encode()))
    operators = {node.op_type for node in model.graph.node} if len(model.graph.node) == 1 else set()
    with np.errstate(all="ignore"):
        _compare(case.name, widened(function), moved(arrays, rng), rng, operators, tally)


def _compare(name, function: Function, arrays, rng, operators, tally: Tally) -> None:
    try:
        reason, weights, back = mistake(function, arrays, rng)
    except TilewrightError as error:
        tally.without[str(error)] += 1
        return
    if reason:
        tally.wrong[name] = reason
        return
    tally.first += 1
    tally.operators |= operators
    if not all(np.isfinite(y).all() for y in run(function, *arrays)):
        tally.without["a result is not finite: no second derivative"] += 1
        return
    reason, _, _ = mistake(back, [*arrays, *weights], rng)
    if reason:
        tally.wrong[name + " twice"] = reason
    else:
        tally.second += 1


def tally_of(share: int = 1) -> Tally:
    """What is right of every so many cases."""
    tally = Tally()
    for number, case in enumerate(sorted(load_model_tests(kind="node"), key=lambda case: case.name)):
        if number % share == 0:
            check(case, tally)
    return tally


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    total = tally_of(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for name, reason in total.wrong.items():
        print(f"wrong: {name}: {reason}")
    for reason, count in total.without.most_common():
        print(f"{count:5} without: {reason}")
    print(f"{total} in {time.perf_counter() - start:.0f} s")
    sys.exit(bool(total.wrong))
