"""The noise of integers, layer by layer: as it has come together there, and what a layer alone adds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.calibrated import CalibratedNetwork, FloatPart
from tilewright.compiler.network.layer import Layer, layers_of
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.distance import energy, noise, noise_share
from tilewright.compiler.quantise.quantise import TracedIntegers
from tilewright.compiler.quantise.recipe import Prepared
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.numerics.progress import Progress, unheard
from tilewright.numerics.quantise import dequantise

ALONE_SAMPLES = 8
"""On which layers are put in integers one by one: each takes a run of what lies behind it, in floats."""
_KEPT_BYTES = 1 << 29
"""Of all values of a part in floats that are kept at a time."""


@dataclass(frozen=True)
class LayerNoise:
    """The noise of a layer's integers, as shares of the signal; `distance.decibels` of them.

    Members:
        label: of the model's node.
        operator: what it became.
        macs: multiply-accumulates of a sample.
        within: at its result, where the whole network is in integers.
        alone: at the ends of the network, where this layer is in integers and all others are in floats.
    """

    label: str
    operator: str
    macs: int
    within: float
    alone: float


def layer_noise(
    network: CalibratedNetwork,
    prepared: Mapping[Value, Prepared],
    progress: Progress = unheard,
    samples: int = ALONE_SAMPLES,
) -> tuple[LayerNoise, ...]:
    """The noise of every layer on the accelerator, in the order of the network.

    Args:
        network: on samples.
        prepared: each part, as it becomes integers.
        progress: is told what is being done.
        samples: on which layers are put in integers one by one, at most.
    """
    traced = {value: each.traced() for value, each in prepared.items()}
    given = _given(network, traced)
    found: list[LayerNoise] = []
    for number, (value, each) in enumerate(prepared.items()):
        part = replace(network.parts[value], recognised=each.floats)
        what = f"measuring layers of part {number + 1} of {len(traced)}"
        layers = layers_of(traced[value])
        progress(what)
        within = _within(part, traced[value], layers, given[value])
        expected = {name: array[:samples] for name, array in network.ends.items()}
        ends = partial(network.run_behind, value)
        alone = _alone(part, layers, expected, ends, partial(progress, what))
        found += [
            LayerNoise(layer.equation.label, layer.equation.operator.name, layer.macs, *pair)
            for layer, *pair in zip(layers, within, alone, strict=True)
        ]
    return tuple(found)


def _given(network: CalibratedNetwork, traced: Mapping[Value, TracedIntegers]) -> dict[Value, Samples]:
    """What each part is given where all parts before it are in integers."""
    given: dict[Value, Samples] = {}
    hosts = {value: HostNetwork(each.named) for value, each in traced.items()}

    def run_part(value: Value, samples: Samples) -> Samples:
        given[value] = samples
        return hosts[value].run(samples)

    network.run(run_part, slice(None))
    return given


def _within(part: FloatPart, traced: TracedIntegers, layers: list[Layer], given: Samples) -> list[float]:
    """The noise at the result of each layer, as a share of the signal."""
    assert part.all is not None, "it is calibrated"
    host, wanted = HostNetwork(traced.named), {each.value: each for each in layers}
    sums = dict.fromkeys(wanted, (0.0, 0.0))
    count = len(next(iter(given.values())))
    step = _samples_at_once(part, count)
    for start in range(0, count, step):
        found = _observed(host, {name: array[start : start + step] for name, array in given.items()})
        inputs = [part.all.inputs[name][start : start + step] for name in part.recognised.inputs]

        def observe(_: Equation, value: Value, array: Array, found: Mapping[str, Array] = found) -> None:
            if value in wanted:
                integer, parameters = traced.stands_for[value].value, wanted[value].parameters
                real = dequantise(found[integer.name], parameters.scale, parameters.zero_point)
                lost, all_ = noise(array, real.reshape(array.shape)), energy(array)
                sums[value] = sums[value][0] + lost, sums[value][1] + all_

        run(part.recognised.function, *inputs, observe=observe)
    return [lost / (all_ or 1.0) for lost, all_ in (sums[each.value] for each in layers)]


def _observed(host: HostNetwork, samples: Samples) -> dict[str, Array]:
    """All values of a function of integers by name."""
    found: dict[str, list[Array]] = {}
    host.run(samples, lambda value, array: found.setdefault(value.name, []).append(array))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _samples_at_once(part: FloatPart, count: int) -> int:
    """Samples of which all values in floats are kept."""
    assert part.all is not None, "it is calibrated"
    elements = sum(int(each.counts.sum()) for each in part.all.histograms.values()) // count
    return max(1, min(count, _KEPT_BYTES // (4 * max(1, elements))))


def _alone(
    part: FloatPart,
    layers: list[Layer],
    expected: Samples,
    ends: Callable[[Samples], Samples],
    share: Callable[[float], object],
) -> list[float]:
    """The noise at the ends of the network of each layer alone in integers, as a share of the signal.

    Args:
        part: of the layers.
        layers: of it.
        expected: the ends in floats, for the first samples.
        ends: those that follow from results of the part.
        share: is told how much is done.
    """
    assert part.all is not None, "it is calibrated"
    count = min(len(next(iter(expected.values()))), _samples_at_once(part, part.all.count))
    inputs = [part.all.inputs[name][:count] for name in part.recognised.inputs]
    values = dict(zip(part.recognised.function.parameters, inputs, strict=True))
    run(part.recognised.function, *inputs, observe=lambda _, value, array: values.update({value: array}))
    wanted = {name: array[:count] for name, array in expected.items()}
    found = []
    for number, layer in enumerate(layers):
        share(number / len(layers))
        changed = {**values, layer.value: layer.run(values)}
        results = _behind(part.recognised, layer.value, changed)
        found.append(noise_share(wanted, ends(results)))
    return found


def _behind(named: NamedFunction, value: Value, values: Mapping[Value, Array]) -> Samples:
    """The results of a function of which a value has changed; `values` has that and all others."""
    changed, equations = {value}, list[Equation]()
    for equation in named.function.equations:
        if not changed.isdisjoint(equation.operands):
            changed.update(equation.results)
            equations.append(equation)
    made = {each for equation in equations for each in equation.results}
    read = dict.fromkeys(each for equation in equations for each in equation.operands if each not in made)
    constants = tuple(
        each
        for each in named.function.equations
        if isinstance(each.operator, Constant) and each.result in read
    )
    held = {each.result for each in constants}
    given = tuple(each for each in read if each not in held)
    results = tuple(each for each in named.function.results if each in made)
    rest = Function("rest", given, (*constants, *equations), results)
    found = dict(zip(results, run(rest, *(values[each] for each in given)), strict=True))
    return {
        name: found[each] if each in found else values[each]
        for name, each in zip(named.outputs, named.function.results, strict=True)
    }
