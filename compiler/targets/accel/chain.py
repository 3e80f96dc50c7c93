"""Chains of layers: expand (1x1), depthwise and project (1x1) convolutions as one unit, where that is faster.

What is between them is wide, and nobody else reads it: it never leaves the chip. A chain without an
expansion begins with the depthwise convolution.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.targets.accel.cost.chain import BlockedChain
from tilewright.compiler.targets.accel.cost.problem import ASSUMED_LATENCY_CYCLES
from tilewright.compiler.targets.accel.network import AccelNetwork, Unit
from tilewright.compiler.targets.accel.operator.chain_nest import ChainNest, ResultRange
from tilewright.compiler.targets.accel.operator.layout import blocks, parameter_vectors, weight_tiles
from tilewright.compiler.targets.accel.operator.lower import lower
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import Tunable, TunableChain
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.isa.config import Config

_X, _WEIGHT, _BIAS, _SCALE, _RESIDUAL, _FACTOR = range(6)
_MARGIN = 32
"""The event model of chains is off by less than one in so many, mostly."""
Constants = list[NDArray[Any] | None]


# --- which layers ------------------------------------------------------------------------------------------


_JOINT = " + "
"""Between the names of layers in that of their chain."""


def last_layer(name: str) -> str:
    """Of a layer's name or a chain's, the layer whose result leaves the chip."""
    return name.rpartition(_JOINT)[2]


def with_chains(
    network: AccelNetwork,
    config: Config,
    scheduled: Collection[str],
    latency_cycles: int = ASSUMED_LATENCY_CYCLES,
) -> AccelNetwork:
    """The network with chains in place of layers, where the models say that these take longer.

    Args:
        network: of layers.
        config: the machine.
        scheduled: names of layers and chains that have schedules: what they name is not asked for its cycles.
        latency_cycles: of the memory for which they are compared.
    """
    layers = {unit.equation.result: unit for unit in network.layers}
    models = _Models(network, config, latency_cycles)
    for found in _candidates(network):
        free = [chain for chain in found if _is_free(chain, layers, scheduled)]
        named = [chain for chain in free if chain.name in scheduled]
        chain = named[0] if named else max(free, key=lambda each: models.gain(each, layers), default=None)
        if chain is None or not (named or models.gain(chain, layers) > 0):
            continue
        for equation in chain.before:
            del layers[equation.result]
        layers[chain.equation.result] = chain
    return replace(network, layers=tuple(layers.values()))


def _is_free(chain: Unit, layers: Mapping[Value, Unit], scheduled: Collection[str]) -> bool:
    """Whether its layers are in no other chain, have no schedules of their own, and none has its name."""
    members = [layers.get(equation.result) for equation in chain.equations]
    names = {unit.name for unit in layers.values()}
    alone = all(unit is not None and not unit.before and unit.name not in scheduled for unit in members)
    return alone and chain.name not in names


def _candidates(network: AccelNetwork) -> Iterator[list[Unit]]:
    """For each projection the chains that end in it, that with an expansion first."""
    units = {unit.equation.result: unit for unit in network.layers}
    for project in network.layers:
        middle = _before(project, network, units) if _is_pointwise(project.equation) else None
        if middle is None or not _is_depthwise(middle.equation):
            continue
        expand = _before(middle, network, units)
        if expand and _is_pointwise(expand.equation) and not _convolution(expand.equation).residual:
            yield [_chain(expand, middle, project), _chain(middle, project)]
        else:
            yield [_chain(middle, project)]


def _chain(*units: Unit) -> Unit:
    *before, last = units
    name = _JOINT.join(unit.name for unit in units)
    return Unit(name, last.equation, tuple(unit.equation for unit in before))


def _before(unit: Unit, network: AccelNetwork, units: Mapping[Value, Unit]) -> Unit | None:
    """The layer that makes the first operand, if nobody else reads that and it has memory of its own."""
    value = unit.equation.operands[_X]
    function = network.function
    is_alone = len(function.consumers.get(value, ())) == 1 and value not in function.results
    is_view = value in network.views or any(view.whole == value for view in network.views.values())
    is_read_once = unit.equation.operands.count(value) == 1
    return units.get(value) if is_alone and is_read_once and not is_view else None


def _convolution(equation: Equation) -> QConv2d:
    assert isinstance(equation.operator, QConv2d)
    return equation.operator


def _is_plain(equation: Equation) -> bool:
    """Whether it is a convolution of which nothing but requantisation follows the sums."""
    operator = equation.operator
    return isinstance(operator, QConv2d) and operator.pool is None and not operator.lookup


def _is_pointwise(equation: Equation) -> bool:
    if not _is_plain(equation):
        return False
    operator = _convolution(equation)
    kernel = equation.operands[_WEIGHT].type.numbers[2:]
    single = kernel == operator.strides == (1, 1) and not any(operator.pads)
    return single and operator.groups == 1


def _is_depthwise(equation: Equation) -> bool:
    if not _is_plain(equation):
        return False
    operator, weight = _convolution(equation), equation.operands[_WEIGHT].type.numbers
    return operator.geometry().is_depthwise(weight) and not operator.residual


class _Models:
    """What the models say of chains and of their layers."""

    def __init__(self, network: AccelNetwork, config: Config, latency_cycles: int) -> None:
        self._network, self._config, self._latency = network, config, latency_cycles
        # By all that decides what a layer costs.
        self._known: dict[str, int] = {}

    def gain(self, chain: Unit, layers: Mapping[Value, Unit]) -> float:
        """Cycles by which a chain is surely faster than its layers; 0 if it is not, or does not fit."""
        try:
            tunable = TunableChain(chain=_sizes(chain, self._config), config=self._config)
            cycles = tunable.likely(self._latency).cycles
        except TilingError:
            return 0
        alone = sum(self._layer(layers[equation.result]) for equation in chain.equations)
        return max(0, alone - cycles - cycles // _MARGIN)

    def _layer(self, unit: Unit) -> float:
        """Of a layer; one that does not fit would be refused."""
        try:
            parts = lower(unit.operator, unit.types, self._network.constants_of(unit), self._config)
            return sum(self._part(part.tunable) for part in parts)
        except TilingError:
            return inf

    def _part(self, tunable: Tunable) -> int:
        if tunable.key not in self._known:
            self._known[tunable.key] = tunable.likely(self._latency).cycles
        return self._known[tunable.key]


# --- how it runs -------------------------------------------------------------------------------------------


def _sizes(chain: Unit, config: Config) -> BlockedChain:
    *expand, middle, project = chain.equations
    operator, (_, _, *kernel) = _convolution(middle), middle.operands[_WEIGHT].type.numbers
    _, inputs, *source = chain.operands[0].type.numbers
    _, outputs, *size = project.result.type.numbers
    return BlockedChain(
        in_blocks=blocks(inputs, config),
        blocks=blocks(middle.result.type.numbers[1], config),
        out_blocks=blocks(outputs, config),
        source=(source[0], source[1]),
        size=(size[0], size[1]),
        kernel=(kernel[0], kernel[1]),
        strides=operator.strides,
        dilations=operator.dilations,
        before=operator.pads[:2],
        expands=bool(expand),
        residual=_convolution(project).residual,
    )


def lower_chain(chain: Unit, constants: Constants, config: Config) -> Lowered:
    """The loops of a chain, and how to schedule them.

    Args:
        chain: a unit of several equations.
        constants: of its operands; None for those that are none.
        config: the machine.
    """
    *expand, middle, project = chain.equations
    sizes = _sizes(chain, config)
    nest = ChainNest(
        sizes=sizes,
        expanded=_range(expand[0]) if expand else None,
        middle=_range(middle),
        projected=_range(project),
        fill=_convolution(middle).input_zero_point,
    )
    layers = _operands(chain, constants)
    tensors = {"x": 0}
    if sizes.residual:
        # Behind all operands of the equations before, and its own weights, bias and scale.
        tensors["residual"] = len(chain.operands) - 2
    return Lowered(
        build=partial(nest.program, CHAIN_FUNCTION, config),
        tunable=TunableChain(chain=sizes, config=config),
        tensors=tensors,
        pack=partial(_pack, layers, sizes, config),
    )


CHAIN_FUNCTION = "chain"
"""The name of the loops' function."""


def _range(equation: Equation) -> ResultRange:
    operator = _convolution(equation)
    return ResultRange(zero_point=operator.zero_point, lo=operator.lo, hi=operator.hi)


@dataclass(frozen=True)
class _Constants:
    """Those of a convolution: weights, and rows of parameters."""

    weight: NDArray[Any]
    rows: list[NDArray[Any]]


def _operands(chain: Unit, constants: Constants) -> list[_Constants]:
    """The constants of each equation."""
    by_value = dict(zip(chain.operands, constants, strict=True))
    found = []
    for equation in chain.equations:
        known = [by_value.get(value) for value in equation.operands]
        weight, bias, scale = known[_WEIGHT : _SCALE + 1]
        assert weight is not None, "verified: weights are constants"
        further = known[_FACTOR] if _convolution(equation).residual else None
        found.append(_Constants(weight, [row for row in (bias, scale, further) if row is not None]))
    return found


def _pack(layers: list[_Constants], sizes: BlockedChain, config: Config) -> dict[str, NDArray[Any]]:
    """Parameters and weights in the layout of the machine."""
    *expand, middle, project = layers
    taps = list(middle.weight.reshape(len(middle.weight), -1).T)
    rows = [*(row for each in expand for row in each.rows), *middle.rows, *taps]
    weights = [("weight", project), *(("expand_weight", each) for each in expand)]
    return {
        "middle_parameters": parameter_vectors(rows, config),
        "parameters": parameter_vectors(project.rows, config),
        **{name: _tiles(each.weight, config) for name, each in weights},
    }


def _tiles(weight: NDArray[Any], config: Config) -> NDArray[Any]:
    """[O / cols][slices][I / cols][rows][cols]."""
    tiles = weight_tiles(weight, config)
    out, slices, _, _, inputs, rows, lanes = tiles.shape
    return tiles.reshape(out, slices, inputs, rows, lanes)
