"""The plan of the memory outside: addresses of values and constants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.function import Value
from tilewright.compiler.targets.accel.network import AccelNetwork, TensorPort, feature_map_shape
from tilewright.compiler.targets.accel.operator.layout import blocks
from tilewright.compiler.targets.memory_plan import TensorLiveRange, plan_memory
from tilewright.isa.config import Config
from tilewright.isa.model import BETWEEN, CONSTANTS, INPUTS, OUTPUTS, REGION_NAMES
from tilewright.numerics.error import TilewrightError


class AddressPlan:
    """The memory plan: addresses of values and constants in the memory outside."""

    def __init__(self, network: AccelNetwork, config: Config) -> None:
        self._config = config
        self._values: dict[Value, tuple[int, int]] = {}
        self._used = dict.fromkeys(REGION_NAMES, 0)
        self._constants: list[bytes] = []
        self._reserve_ports(network, INPUTS, network.inputs)
        self._reserve_ports(network, OUTPUTS, network.outputs)
        self._views = network.views
        self._check_ports(network)
        live_ranges = _live_ranges(network, self._values.keys(), config)
        offsets, self._used[BETWEEN] = plan_memory(list(live_ranges.values()), config.burst_bytes)
        self._values |= {value: (BETWEEN, offsets[value.name]) for value in live_ranges}

    def _check_ports(self, network: AccelNetwork) -> None:
        """Legalised: what is handed back is no part of anything else."""
        parts = [port.name for port in network.outputs if port.value in self._views]
        assert not parts, f"outputs {parts} must have memory of their own"

    def _reserve_ports(self, network: AccelNetwork, region: int, ports: tuple[TensorPort, ...]) -> None:
        for port in ports:
            if port.value in self._values and self._values[port.value][0] != region:
                raise TilewrightError(f"output {port.name!r} must be the result of a layer, not an input")
            if port.value not in self._values:
                size = _bytes(port.value, self._config)
                self._values[port.value] = (region, self._reserve(region, size))

    def _reserve(self, region: int, size: int) -> int:
        """Room that begins where bursts do."""
        offset = self._used[region]
        self._used[region] = offset + size + -size % self._config.burst_bytes
        return offset

    def address(self, contents: Value | NDArray[Any], block: int = 0) -> tuple[int, int]:
        """Region and offset of a value, from a block on, or of a constant that is added."""
        if isinstance(contents, Value):
            inside = block * _block_bytes(contents, self._config)
            while (view := self._views.get(contents)) is not None:
                contents = view.whole
                inside += view.block * _block_bytes(contents, self._config)
            region, offset = self._values[contents]
            return region, offset + inside
        data = np.ascontiguousarray(contents).tobytes()
        offset = self._reserve(CONSTANTS, len(data))
        self._constants.append(data.ljust(self._used[CONSTANTS] - offset, b"\0"))
        return CONSTANTS, offset

    def constants(self) -> bytes:
        """The contents of their region."""
        return b"".join(self._constants)

    def sizes(self) -> dict[int, int]:
        """Bytes of each region that is used."""
        return {region: size for region, size in self._used.items() if size}


def _bytes(value: Value, config: Config) -> int:
    return blocks(feature_map_shape(value.type)[0], config) * _block_bytes(value, config)


def _block_bytes(value: Value, config: Config) -> int:
    _, height, width = feature_map_shape(value.type)
    return height * width * config.cols


def _live_ranges(network: AccelNetwork, placed: Any, config: Config) -> dict[Value, TensorLiveRange]:
    """Live ranges of values between layers: from the first layer that makes a part to the last reader."""
    spans: dict[Value, tuple[int, int]] = {}
    for index, unit in enumerate(network.layers):
        for value in (*unit.operands, unit.equation.result):
            whole = network.whole(value)
            spans[whole] = spans.get(whole, (index, index))[0], index
    made = {network.whole(unit.equation.result) for unit in network.layers}
    return {
        value: TensorLiveRange(value.name, _bytes(value, config), *span)
        for value, span in spans.items()
        if value in made and value not in placed
    }
