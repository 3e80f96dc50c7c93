"""The sizes of a machine that a layer's cycles by the models depend on.

Machines that differ in others alone cost a layer the same: its cost is found once.
"""

from dataclasses import replace
from functools import lru_cache
from math import prod

from tilewright.compiler.targets.accel.cost.chain import BlockedChain
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.cost.window_space import MAX_DEPTH
from tilewright.isa.config import FIELD_RANGES, Config

_REMEMBERED = 1 << 10
"""Layers on machines that are kept: equal layers of a network ask one after the other."""
_CHAIN_STAGES, _CHAIN_BUFFERS = 5, 4
"""The most stages of weights and parameters that a chain does not keep; the most buffers of a kind."""
_UNEVEN = 8
"""Tiles that do not divide kernel rows, columns and blocks take less than twice the room in each of these."""


@lru_cache(maxsize=_REMEMBERED)
def convolution_machine(convolution: BlockedConvolution, config: Config) -> Config:
    """The machine with the least of what makes no difference to a convolution."""
    tiles = convolution.out_blocks * convolution.in_blocks * prod(convolution.kernel) * config.slices
    return replace(
        config,
        token_capacity=_least("token_capacity"),
        weight_vectors=_enough("weight_vectors", config, _UNEVEN * tiles * config.rows),
        parameter_vectors=_enough(
            "parameter_vectors", config, convolution.out_blocks * convolution.parameter_vectors
        ),
    )


@lru_cache(maxsize=_REMEMBERED)
def window_machine(windows: Windows, config: Config) -> Config:
    """The machine with the least of what makes no difference to windows."""
    written = windows.height * windows.width
    read = windows.inputs(windows.height, 0) * windows.inputs(windows.width, 1)
    kept = {
        "activation_vectors": 2 * MAX_DEPTH * max(read, written),
        "parameter_vectors": windows.blocks * windows.parameter_vectors,
        "accumulator_vectors": MAX_DEPTH * written * windows.keeps_accumulators,
    }
    idle = ["rows", "weight_banks", "weight_vectors", "token_capacity"]
    idle += [] if windows.keeps_accumulators else ["accumulator_banks"]
    idle += [] if windows.parameter_vectors else ["parameter_banks"]
    return replace(
        config,
        **{name: _least(name) for name in idle},
        **{name: _enough(name, config, count) for name, count in kept.items()},
    )


@lru_cache(maxsize=_REMEMBERED)
def chain_machine(chain: BlockedChain, config: Config) -> Config:
    """The machine with the least of what makes no difference to a chain."""
    seen = chain.windows.inputs(chain.size[0], 0) * chain.windows.inputs(chain.size[1], 1)
    results = chain.size[0] * chain.size[1]
    weights = config.slices * config.rows * (chain.in_blocks * chain.expands + chain.out_blocks)
    stages = max(chain.blocks, _CHAIN_STAGES)
    kept = {
        "activation_vectors": _CHAIN_BUFFERS * (seen + (1 + chain.in_blocks) * max(seen, results)),
        "accumulator_vectors": 2 * (chain.out_blocks * results + seen),
        "weight_vectors": stages * weights,
        "parameter_vectors": stages * chain.middle_vectors + 2 * chain.result_vectors,
    }
    return replace(
        config,
        token_capacity=_least("token_capacity"),
        **{name: _enough(name, config, count) for name, count in kept.items()},
    )


def _least(name: str) -> int:
    return FIELD_RANGES[name].low


def _enough(name: str, config: Config, vectors: int) -> int:
    """The size, or the least power of two with room for so many vectors if that is less."""
    own: int = getattr(config, name)
    return min(own, max(_least(name), 1 << max(0, vectors - 1).bit_length()))
