"""Random small networks on random machines and on the host, compared with the interpreter to the byte.

python -m tests.e2e.fuzz --seed S --networks N [--config NAME]
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from tests.compiler.random_network import random_input
from tests.onnx_network import load
from tests.random_onnx import random_model
from tests.random_tokens import random_token_model

from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.print import print_function
from tilewright.compiler.pipeline import compile_model, quantise
from tilewright.compiler.quantise.error import QuantiseError
from tilewright.compiler.targets.accel.allocation import AllocationError
from tilewright.compiler.targets.accel.product import ProductError
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.targets.cpu.network import HostNetwork
from tilewright.isa.config import PRESETS, Config
from tilewright.isa.model import Model
from tilewright.isa.random_program import random_config
from tilewright.numerics.error import TilewrightError
from tilewright.runtime.model_runner import ModelRunner
from tilewright.runtime.sim_device import SimDevice

SAMPLES = 2
TOKENS = 0.25
"""The share of networks over tokens."""
SEQUENCES = 0.15
"""The share of the others whose inputs have a length, not height and width."""
NAMED = ("tiny", "reference", "reference-wide", "reference-light", "ecp5-85f")


class DifferenceError(AssertionError):
    """A network whose compiled form is not what it means."""


@dataclass
class Tally:
    """What became of the networks."""

    equal: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def __str__(self) -> str:
        refused = ", ".join(f"{count} × {reason}" for reason, count in sorted(self.refused.items()))
        return f"{self.equal} networks equal; refused: {refused or 'none'}"


def integer_network(rng: np.random.Generator) -> tuple[NamedFunction, dict[str, np.ndarray]] | None:
    """A random network of integers and inputs for it; None if the drawn one cannot be quantised."""
    if rng.random() < TOKENS:
        named = load(random_token_model(rng))
    else:
        named = load(random_model(rng, sequence=rng.random() < SEQUENCES))
    calibration = random_input(rng, named, 4)
    try:
        return quantise(named, calibration), random_input(rng, named, SAMPLES)
    except QuantiseError:
        return None


def check_network(named: NamedFunction, inputs: dict[str, np.ndarray], config: Config) -> Model:
    """Compile, run on the simulator, compare.

    Raises:
        DifferenceError: with the network and the first difference.
        TilewrightError: if the network does not fit the machine.
    """
    model = compile_model(named, config)
    _compare(named, inputs, ModelRunner(model, SimDevice(config)).run(inputs).outputs, config)
    return model


def check_host(named: NamedFunction, inputs: dict[str, np.ndarray]) -> None:
    """Compile for the host, run, compare.

    Raises:
        DifferenceError: with the network and the first difference.
    """
    _compare(named, inputs, HostNetwork(named).run(inputs), "host")


def _compare(
    named: NamedFunction,
    inputs: dict[str, np.ndarray],
    outputs: Mapping[str, np.ndarray],
    machine: Config | str,
) -> None:
    for name, expected in named.run(inputs).items():
        got = outputs[name]
        if not np.array_equal(got, expected):
            place = tuple(int(index) for index in np.argwhere(got != expected)[0])
            wrong = f"{int((got != expected).sum())} of {expected.size} places"
            raise DifferenceError(
                f"output {name!r} must be {expected[place]} at {place}, not {got[place]}, "
                f"in {wrong}\n{machine}\n{print_function(named.function)}"
            )


def fuzz(seed: int, networks: int, config: Config | None = None, report_every: int = 0) -> Tally:
    """Check that many networks, each on the machine given or one drawn for it; say now and then how far."""
    tally = Tally()
    for number in range(networks):
        if report_every and number and number % report_every == 0:
            print(f"{number}: {tally}", flush=True)
        rng = np.random.default_rng((seed, number))
        drawn = integer_network(rng)
        if drawn is None:
            tally.refuse("QuantiseError")
            continue
        machine = config or _machine(rng)
        try:
            check_host(*drawn)
            check_network(*drawn, machine)
            tally.equal += 1
        except (TilingError, AllocationError, ProductError) as error:
            tally.refuse(type(error).__name__)
        except (DifferenceError, TilewrightError) as error:
            raise DifferenceError(f"seed {seed}, network {number}: {error}") from error
    return tally


def _machine(rng: np.random.Generator) -> Config:
    if rng.random() < 0.5:
        return PRESETS[NAMED[rng.integers(len(NAMED))]]
    return random_config(rng)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--config", choices=sorted(PRESETS))
    options = parser.parse_args()
    begun = time.monotonic()
    config = PRESETS[options.config] if options.config else None
    print(
        fuzz(options.seed, options.networks, config, report_every=20), f"in {time.monotonic() - begun:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
