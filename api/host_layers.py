"""The convolutions that the host computes for a package, each distinct one once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tilewright.api.host_runner import HostRunner
from tilewright.api.host_task import TARGET, UNIT, convolution_task, host_text
from tilewright.api.package import Package
from tilewright.api.tunable_layer import TunableLayer
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    convolution_of_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.tune.record import Key

CPU_RESOURCE = "cpu"


def host_layers(package: Package) -> list[TunableLayer]:
    """The distinct convolutions that device `cpu` computes, those of most products first.

    Args:
        package: whose kernels have known sizes, but for a batch of 1.
    """
    noticed = _Noticed()
    # Compiled for nothing but to see what is asked for.
    replace(package, host_schedules=noticed, _programs={}, _networks={}).prepare(device="cpu")
    found = [host_layer(*convolution_of_key(key)) for key in noticed.keys_asked]
    return sorted(found, key=lambda layer: -layer.task.weight)


def host_layer(sizes: ConvolutionSizes, is_shared: bool) -> TunableLayer:
    """A convolution as what is tuned."""
    rows, columns = sizes.result
    products = rows * columns * sizes.outputs * sizes.channels * sizes.kernel[0] * sizes.kernel[1]
    task = convolution_task(sizes, is_shared=is_shared, weight=float(products))
    kernel = "×".join(map(str, sizes.kernel))
    name = f"{sizes.dtype} {kernel}, {sizes.channels} to {sizes.outputs} channels, {rows}×{columns}"
    return TunableLayer(
        names=(name,),
        key=Key(structure=task.key, target=TARGET, machine=host_text(), unit=UNIT),
        task=task,
        runner=HostRunner(sizes=sizes, is_shared=is_shared),
        resource=CPU_RESOURCE,
    )


@dataclass
class _Noticed(Mapping[str, ConvolutionSchedule]):
    """No schedules, but what was asked for.

    Members:
        keys_asked: each once, in their order.
    """

    keys_asked: dict[str, None] = field(default_factory=dict)

    def __getitem__(self, key: str) -> ConvolutionSchedule:
        self.keys_asked[key] = None
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
