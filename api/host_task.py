"""What there is to tune on the host: convolutions, and what was found for them."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.space import Columns
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_cost import ConvolutionCost
from tilewright.compiler.targets.cpu.operator.convolution_feature import FEATURE_NAMES, described
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    ConvolutionSchedule,
    convolution_key,
    convolution_of_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.convolution_space import (
    convolution_space,
    default_schedule,
    point_of,
    schedule_of,
)
from tilewright.compiler.targets.cpu.pool import processors
from tilewright.tune.record import Key
from tilewright.tune.record_index import Records
from tilewright.tune.task import Task

TARGET, UNIT = "cpu", "seconds"


def host_text(machine: HostMachine | None = None) -> str:
    """The machine of records: all that times depend on, as far as it is known; None for this one."""
    machine = HostMachine.host() if machine is None else machine
    return f"{machine.key}|{processors()} processors"


def convolution_task(sizes: ConvolutionSizes, *, is_shared: bool, weight: float = 1.0) -> Task:
    """A convolution on this machine.

    Args:
        sizes: of it; what fills its padding does not count.
        is_shared: whether all processors run it; else one does.
        weight: the time of all its uses, beside other tasks.
    """
    features = Features.of(HostMachine.host())
    counts = partial(ConvolutionCost, sizes, features, processors() if is_shared else 1)
    return Task(
        key=convolution_key(sizes, is_shared=is_shared),
        target=TARGET,
        machine=host_text(),
        space=convolution_space(sizes, features, is_shared=is_shared),
        default=point_of(default_schedule(sizes, features, is_shared=is_shared)),
        unit=UNIT,
        estimate=partial(_estimate, counts),
        features=partial(_features, counts),
        feature_names=FEATURE_NAMES,
        weight=weight,
    )


def _estimate(counts: "partial[ConvolutionCost]", columns: Columns) -> NDArray[np.float64]:
    return counts(columns).seconds


def _features(counts: "partial[ConvolutionCost]", columns: Columns) -> NDArray[np.float32]:
    return described(counts(columns))


def host_schedules(records: Records) -> dict[str, ConvolutionSchedule]:
    """The best known schedules of this machine's convolutions, by their keys: what `compile_host` takes.

    A record counts only beside one of the default, and if it is better; one of a point that is no more, not.
    """
    here = [key for key in records.keys() if (key.target, key.machine) == (TARGET, host_text())]  # noqa: SIM118
    found = {key.structure: _better(records, key) for key in here}
    return {structure: schedule for structure, schedule in found.items() if schedule is not None}


def _better(records: Records, key: Key) -> ConvolutionSchedule | None:
    """The schedule that was faster than the default."""
    sizes, is_shared = convolution_of_key(key.structure)
    features = Features.of(HostMachine.host())
    space, best = convolution_space(sizes, features, is_shared=is_shared), records.best(key)
    default = point_of(default_schedule(sizes, features, is_shared=is_shared))
    known = records.known(key, default)
    if best is None or best.outcome.cost is None or known is None or known.cost is None:
        return None
    try:
        fits = space.refuse(best.point) is None
    except SpaceError:
        return None
    return schedule_of(best.point) if fits and best.outcome.cost < known.cost else None
