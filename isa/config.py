"""The configuration of a machine: what may vary from build to build, validated once.

No field of an instruction depends on a `Config`: the same bytes decode the same way on every build.
"""

import hashlib
import reprlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType

from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import PORTS, Memory, Port
from tilewright.isa.sliding import WINDOW_TAPS
from tilewright.isa.text_file import read_text

INSTRUCTION_BYTES = 64
_LONGEST_BITS = 128
_LARGEST_SIZE = 1 << 20
_EXAMPLE = "such as rows = 16"
IN_FLIGHT = 8
"""Instructions that one engine may have started and not finished."""


@dataclass(frozen=True, kw_only=True)
class FieldRange:
    """What a size of a machine may be.

    Members:
        low, high: the least and the most.
        steps: what a search proposes, rising: the powers of two between, or all of the few that there are.
        only_steps: whether nothing else is allowed.
    """

    low: int
    high: int
    steps: tuple[int, ...]
    only_steps: bool

    @classmethod
    def between(cls, low: int, high: int, *, only_powers: bool) -> "FieldRange":
        """From low to high."""
        powers = tuple(1 << k for k in range(high.bit_length()) if low <= 1 << k <= high)
        return cls(low=low, high=high, steps=powers, only_steps=only_powers)

    @classmethod
    def among(cls, *values: int) -> "FieldRange":
        """One of these, which rise."""
        return cls(low=values[0], high=values[-1], steps=values, only_steps=True)

    def problem(self, value: object) -> str | None:
        """What is wrong with a value, in words that follow its name; None: nothing."""
        if not isinstance(value, int) or isinstance(value, bool) or not self.low <= value <= self.high:
            return f"must be an integer from {self.low} to {self.high}, not {_shown(value)}"
        if self.only_steps and value not in self.steps:
            powers = all(step & (step - 1) == 0 for step in self.steps)
            kind = "a power of two" if powers else " or ".join(map(str, self.steps))
            return f"must be {kind}, not {_shown(value)}"
        return None


_POWER_OF_TWO_RANGES = {
    "rows": (4, 128),
    "cols": (4, 128),
    "activation_banks": (2, 16),
    "activation_vectors": (16, 1 << 20),
    "weight_banks": (1, 4),
    "weight_vectors": (16, 1 << 20),
    "accumulator_banks": (2, 8),
    "accumulator_vectors": (16, 1 << 20),
    "parameter_banks": (1, 4),
    "parameter_vectors": (16, 1 << 20),
    "bus_bytes": (8, 64),
    "burst_bytes": (64, 4096),
    "requant_interval": (1, 4),
}
_RANGES = {
    "outstanding_reads": (1, 64),
    "outstanding_writes": (1, 64),
    "queue_depth": (1, 64),
    "token_capacity": (1, 255),
}

FIELD_RANGES: Mapping[str, FieldRange] = MappingProxyType(
    {
        **{
            name: FieldRange.between(low, high, only_powers=name in _POWER_OF_TWO_RANGES)
            for name, (low, high) in (_POWER_OF_TWO_RANGES | _RANGES).items()
        },
        "vector_taps": FieldRange.among(1, WINDOW_TAPS),
    }
)
"""By the name of a field of `Config`. What fields must be to each other, only a `Config` says."""


class ConfigError(TilewrightError):
    """A configuration that no machine can have, with every reason at once."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A machine's sizes.

    Depths (`*_vectors`) are per bank, in vectors of `cols` elements (int8 for activations and weights, int32
    for accumulators and parameters). `burst_bytes` is the boundary at which every bus burst ends;
    `outstanding_reads` bounds the load engine's bursts in flight (fetch has a buffer of its own) and
    `outstanding_writes` the store engine's; `queue_depth` is the instructions waiting per engine;
    `token_capacity` the tokens (given or promised) per ordered pair of engines; `requant_interval` the cycles
    in which the vector engine requantises one vector; `vector_taps` the products of one cycle and lane where
    its window slides along results (`isa/sliding.py`).

    Raises:
        ConfigError: naming every field that does not fit, and what would.
    """

    rows: int
    cols: int
    activation_banks: int
    activation_vectors: int
    weight_banks: int = 1
    weight_vectors: int
    accumulator_banks: int = 2
    accumulator_vectors: int
    parameter_banks: int = 1
    parameter_vectors: int
    bus_bytes: int = 8
    burst_bytes: int = 256
    outstanding_reads: int = 8
    outstanding_writes: int = 8
    queue_depth: int = 8
    token_capacity: int = 15
    requant_interval: int = 1
    vector_taps: int = 1

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigError("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        for name, known in FIELD_RANGES.items():
            if problem := known.problem(getattr(self, name)):
                yield f"{name} {problem}"
        yield from self._relations()

    def _relations(self) -> Iterator[str]:
        values = asdict(self).values()
        if not all(isinstance(value, int) and abs(value) <= _LARGEST_SIZE for value in values):
            return
        if self.rows > self.cols:
            yield f"rows must be at most cols ({self.cols}), not {self.rows}: transpose the product instead"
        if self.burst_bytes > 256 * min(self.bus_bytes, self.cols):
            limit = 256 * min(self.bus_bytes, self.cols)
            yield f"burst_bytes must be at most {limit} (256 beats), not {self.burst_bytes}"
        if self.requant_interval > self.cols:
            yield f"requant_interval must be at most cols ({self.cols}), not {self.requant_interval}"
        for memory in Memory:
            if self.banks(memory) * self.depth(memory) > 1 << 20:
                total = self.banks(memory) * self.depth(memory)
                most = f"{1 << 20} vectors (20 address bits)"
                yield f"{memory.label} memory must hold at most {most}, not {total}"

    # --- memories ------------------------------------------------------------------------------------------

    def banks(self, memory: Memory) -> int:
        """Banks of `memory`."""
        value: int = getattr(self, f"{memory.label}_banks")
        return value

    def depth(self, memory: Memory) -> int:
        """Vectors in one bank of `memory`."""
        value: int = getattr(self, f"{memory.label}_vectors")
        return value

    def vectors(self, memory: Memory) -> int:
        """Vectors in all banks of `memory`."""
        return self.banks(memory) * self.depth(memory)

    def vector_bytes(self, memory: Memory) -> int:
        """Bytes of one vector of `memory`: `cols` elements."""
        return self.cols * memory.element_bytes

    def transfer_bytes(self, memory: Memory) -> int:
        """Bytes of one bus beat of a load or store of `memory` (an AXI narrow burst if below the bus)."""
        return min(self.vector_bytes(memory), self.bus_bytes)

    # --- ports ---------------------------------------------------------------------------------------------

    def port_index(self, memory: Memory, bank: int, port: Port) -> int:
        """Position of one (memory, bank, port) in a claim mask."""
        before = sum(len(PORTS) * self.banks(other) for other in Memory if other < memory)
        return before + len(PORTS) * bank + port

    @property
    def port_count(self) -> int:
        """Ports of all banks: the width of a claim mask."""
        return sum(len(PORTS) * self.banks(memory) for memory in Memory)

    # --- derived sizes -------------------------------------------------------------------------------------

    @property
    def slices(self) -> int:
        """Slices of `rows` activations in one vector: the unit of a matrix activation address."""
        return self.cols // self.rows

    @property
    def fetch_buffer_instructions(self) -> int:
        """Instructions that fetch may have requested and not dispatched: two bursts."""
        return 2 * self.burst_bytes // INSTRUCTION_BYTES

    @property
    def peak_macs(self) -> int:
        """Products a cycle at full use of the array."""
        return self.rows * self.cols

    @property
    def chip_bytes(self) -> int:
        """Bytes of all memories on the chip."""
        return sum(self.vectors(memory) * self.vector_bytes(memory) for memory in Memory)

    def digest(self) -> bytes:
        """8 bytes that name this configuration: stamped in programs, readable from the hardware."""
        text = "\n".join(f"{name}={value}" for name, value in sorted(asdict(self).items()))
        return hashlib.sha256(text.encode()).digest()[:8]

    def to_toml(self) -> str:
        """Text that `load_config` reads back."""
        return "".join(f"{name} = {value}\n" for name, value in asdict(self).items())


def _shown(value: object) -> str:
    """A value in messages; Python prints no number of thousands of digits."""
    if isinstance(value, int) and value.bit_length() > _LONGEST_BITS:
        return f"a number of {value.bit_length()} bits"
    return reprlib.repr(value)


def _preset(**sizes: int) -> Config:
    return Config(**sizes)


PRESETS: Mapping[str, Config] = MappingProxyType(
    {
        "tiny": _preset(
            rows=4,
            cols=4,
            activation_banks=4,
            activation_vectors=256,
            weight_vectors=256,
            accumulator_vectors=64,
            parameter_vectors=64,
            burst_bytes=64,
            outstanding_reads=4,
            outstanding_writes=4,
            queue_depth=4,
        ),
        "reference": _preset(
            rows=16,
            cols=16,
            activation_banks=4,
            activation_vectors=2048,
            weight_vectors=8192,
            accumulator_vectors=1024,
            parameter_vectors=512,
        ),
        "reference-wide": _preset(
            rows=16,
            cols=16,
            activation_banks=4,
            activation_vectors=2048,
            weight_vectors=8192,
            accumulator_vectors=1024,
            parameter_vectors=512,
            bus_bytes=16,
            burst_bytes=512,
        ),
        "ecp5-85f": _preset(
            rows=8,
            cols=16,
            activation_banks=4,
            activation_vectors=2048,
            weight_vectors=4096,
            accumulator_vectors=1024,
            parameter_vectors=512,
        ),
        "zynq-7020": _preset(
            rows=8,
            cols=16,
            activation_banks=4,
            activation_vectors=2048,
            weight_vectors=8192,
            accumulator_vectors=1024,
            parameter_vectors=512,
            burst_bytes=128,
        ),
        "zu3eg": _preset(
            rows=16,
            cols=16,
            activation_banks=4,
            activation_vectors=4096,
            weight_vectors=8192,
            accumulator_vectors=1024,
            parameter_vectors=512,
            bus_bytes=16,
            burst_bytes=256,
        ),
        "large-32": _preset(
            rows=32,
            cols=32,
            activation_banks=4,
            activation_vectors=4096,
            weight_vectors=16384,
            accumulator_vectors=2048,
            parameter_vectors=512,
            bus_bytes=32,
            burst_bytes=1024,
        ),
        "large-128": _preset(
            rows=128,
            cols=128,
            activation_banks=8,
            activation_vectors=8192,
            weight_vectors=32768,
            accumulator_vectors=4096,
            parameter_vectors=1024,
            bus_bytes=64,
            burst_bytes=4096,
            outstanding_reads=16,
            outstanding_writes=16,
        ),
    }
)


def load_config(name_or_path: str) -> Config:
    """The preset of that name, or the configuration in that TOML file.

    Raises:
        ConfigError: for an unknown name, an unknown or missing field, or sizes that do not fit.
    """
    if name_or_path in PRESETS:
        return PRESETS[name_or_path]
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(PRESETS)
        raise ConfigError(f"config must be a TOML file or one of {known}, not {name_or_path!r}")
    return _from_toml(path)


def _from_toml(path: Path) -> Config:
    try:
        values = tomllib.loads(read_text(path, "TOML"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config {path} must be TOML: {error}") from None
    except (ValueError, RecursionError):
        # Python reads no numbers of thousands of digits and no arrays nested thousands deep.
        raise ConfigError(f"config {path} must be TOML with one size a line, {_EXAMPLE}") from None
    known = {field.name for field in fields(Config)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"config {path} must have only fields of {sorted(known)}, not {unknown}")
    missing = [item.name for item in fields(Config) if item.default is MISSING and item.name not in values]
    if missing:
        raise ConfigError(f"config {path} must give every size, also {', '.join(missing)}")
    return Config(**values)
