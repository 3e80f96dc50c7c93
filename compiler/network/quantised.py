"""A network split and quantised: parts in integers, measured beside the floats; some layers left in these."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.border import quantised_at_borders
from tilewright.compiler.network.budget import AccuracyBudget, Agreement, BudgetError
from tilewright.compiler.network.calibrated import CalibratedNetwork, calibrated_network
from tilewright.compiler.network.choice import IntegerParts, integer_parts
from tilewright.compiler.network.layer_noise import ALONE_SAMPLES, LayerNoise, layer_noise
from tilewright.compiler.network.mixed import layers_in_floats, refused_layers
from tilewright.compiler.network.target import Accelerator, HostTarget, refused_kernel
from tilewright.compiler.partition.split import Partition, partition
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.compiler.targets.cpu.network import HostNetwork, Kernels
from tilewright.numerics.progress import Progress, unheard


@dataclass(frozen=True)
class Quantiser:
    """How a network is quantised.

    Members:
        one: the network for one sample.
        samples: by name of an input; None if it has scales of its own.
        method: how ranges are chosen.
        progress: is told what is being done.
        kernels: what was compiled to measure networks.
    """

    one: NamedFunction
    samples: Samples | None
    method: RangeMethod = RangeMethod.MIN_MAX
    progress: Progress = unheard
    kernels: Kernels = field(default_factory=dict)

    def quantised(self, target: Accelerator) -> "QuantisedNetwork":
        """The network with all on the accelerator that it does not refuse, and that can become integers."""
        while True:
            self.progress("partitioning")
            found = partition(self.one.function, (target, HostTarget()))
            bordered = quantised_at_borders(found.function, self.one.function)
            found = replace(found, function=bordered)
            split = self.one.with_function(found.function)
            network = calibrated_network(split, self.samples, self.progress)
            parts = integer_parts(network, self.method, self.progress, self.kernels)
            refused = dict(network.refused)
            kernels = {each.results[0]: each for each in found.function.equations}
            refused |= {kernels[first]: reason for first, reason in parts.refused.items()}
            if not refused:
                return QuantisedNetwork(self, target, found, network, parts)
            for kernel, reason in refused.items():
                target = target.without(refused_kernel(kernel, reason))

    def within(self, target: Accelerator, budget: AccuracyBudget) -> "QuantisedNetwork":
        """The same, with as many layers in floats as the outputs need to be within a budget.

        Raises:
            BudgetError: if there are no floats to compare with.
        """
        if self.samples is None or has_scales(self.one.function):
            raise BudgetError("an accuracy budget must be of a network of floats, with calibration data")
        whole = self.quantised(target)
        before = whole.agreement()
        if budget.holds(before):
            return whole
        layers = whole.layers()
        reason = (
            f"left in floats: with all layers in integers the outputs are at {before}, "
            f"and the accuracy budget is {budget}"
        )

        def with_floats(labels: Sequence[str]) -> QuantisedNetwork:
            return self.quantised(target.without(refused_layers(self.one.function, labels, reason)))

        def measure(labels: Sequence[str]) -> Agreement:
            self.progress(f"measuring with {len(labels)} of {len(layers)} layers in floats")
            return with_floats(labels).agreement()

        return with_floats(layers_in_floats(layers, budget, before, measure))


@dataclass(frozen=True)
class QuantisedNetwork:
    """A network whose parts on the accelerator are integers.

    Members:
        quantiser: how it was made.
        target: the accelerator, with all that it refused.
        partition: the network in kernels.
        network: the same on samples, in floats.
        parts: in integers.
    """

    quantiser: Quantiser
    target: Accelerator
    partition: Partition
    network: CalibratedNetwork
    parts: IntegerParts

    def agreement(self) -> Agreement:
        """Of the outputs with those of floats."""
        hosts = {
            value: HostNetwork(part, kernels=self.quantiser.kernels)
            for value, part in self.parts.integers.items()
        }

        def run_part(value: Value, samples: Samples) -> Samples:
            return hosts[value].run(samples)

        return Agreement.of(self.network.float_outputs(), self.network.outputs(run_part))

    def layers(self, samples: int = ALONE_SAMPLES) -> tuple[LayerNoise, ...]:
        """The noise of each layer; see `layer_noise`."""
        prepared = {
            value: part.prepared(self.parts.recipes[value])
            for value, part in self.network.parts.items()
            if part.all is not None
        }
        return layer_noise(self.network, prepared, self.quantiser.progress, samples)
