"""How near a network of integers is to its floats: as a whole, and layer by layer."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tilewright.api.compile import Source, prepared_network, why_not_by_sample
from tilewright.api.error import PackageError
from tilewright.compiler.frontend.onnx import load_onnx
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.layer_noise import ALONE_SAMPLES, LayerNoise
from tilewright.compiler.network.quantised import Quantiser
from tilewright.compiler.network.split import accelerator_of
from tilewright.compiler.quantise.distance import decibels
from tilewright.compiler.quantise.quantise import has_scales
from tilewright.compiler.quantise.range_method import RangeMethod, range_method
from tilewright.isa.config import Config, load_config
from tilewright.numerics.progress import Progress, unheard


@dataclass(frozen=True, kw_only=True)
class LayerAccuracy:
    """The ratio of signal to noise of a layer, in dB; infinite without noise.

    Members:
        label: of the model's node.
        operator: what it became.
        macs: multiply-accumulates of a sample.
        snr_db: at its result, where the whole network is in integers.
        alone_snr_db: at the results of the accelerator, where this layer is in integers and all others are in
            floats: the less, the more it costs.
    """

    label: str
    operator: str
    macs: int
    snr_db: float
    alone_snr_db: float


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How near a network of integers is to its floats on calibration data.

    Members:
        samples: how many were run.
        snr_db: of the outputs: 10 log10 of the squares of the floats over those of the errors; of several
            outputs, the mean of their ratios of noise to signal counts.
        same_share: of the answers, those that are the same as in floats; see `Agreement`.
        layers: of the accelerator, in their order.
    """

    samples: int
    snr_db: float
    same_share: float
    layers: tuple[LayerAccuracy, ...]

    def to_json(self) -> Mapping[str, Any]:
        """What `json.dumps` can write: infinite decibels are None."""
        return {
            **_finite({"samples": self.samples, "snr_db": self.snr_db, "same_share": self.same_share}),
            "layers": [_finite(asdict(each)) for each in self.layers],
        }


def accuracy(
    model: Source,
    calibration: Mapping[str, ArrayLike],
    *,
    config: str | Config = "reference",
    ranges: str = RangeMethod.AUTO,
    sizes: Mapping[str, int] | None = None,
    alone_samples: int = ALONE_SAMPLES,
    progress: Progress = unheard,
) -> Accuracy:
    """How near a network is to its floats once it is quantised for the accelerator.

    Args:
        model: an ONNX model of floats: a path, its bytes, or an onnx.ModelProto.
        calibration: typical inputs by name, samples along the first axis: they choose the scales, and are
            what is measured on.
        config: of the accelerator.
        ranges: how calibration chooses ranges; as of `compile`.
        sizes: numbers for symbolic sizes.
        alone_samples: samples on which layers are put in integers one by one, at most.
        progress: is told what is being done.

    Raises:
        FrontendError: if the model has what is not supported.
        TilewrightError: if it has scales of its own, or samples cannot be run one by one.
    """
    machine = config if isinstance(config, Config) else load_config(os.fspath(config))
    named = load_onnx(model, sizes)
    return accuracy_of(named, calibration, machine, ranges, alone_samples, progress)


def accuracy_of(
    named: NamedFunction,
    calibration: Mapping[str, ArrayLike],
    config: Config,
    ranges: str = RangeMethod.AUTO,
    alone_samples: int = ALONE_SAMPLES,
    progress: Progress = unheard,
) -> Accuracy:
    """As `accuracy`, of a network that was read."""
    method, named = range_method(ranges), prepared_network(named)
    if has_scales(named.function):
        raise PackageError("accuracy must be of a network of floats: this one has scales of its own")
    if reason := why_not_by_sample(named):
        raise PackageError(f"nothing of the network becomes integers: {reason}")
    samples = {name: np.asarray(each) for name, each in calibration.items()}
    quantiser = Quantiser(named.one_sample(), samples, method, progress)
    found = quantiser.quantised(accelerator_of(quantiser.one, config))
    agreement = found.agreement()
    return Accuracy(
        samples=named.check(samples),
        snr_db=agreement.decibels,
        same_share=agreement.same_share,
        layers=tuple(map(_layer, found.layers(alone_samples))),
    )


def _layer(noise: LayerNoise) -> LayerAccuracy:
    return LayerAccuracy(
        label=noise.label,
        operator=noise.operator,
        macs=noise.macs,
        snr_db=decibels(noise.within),
        alone_snr_db=decibels(noise.alone),
    )


def _finite(fields: Mapping[str, Any]) -> dict[str, Any]:
    is_finite = {name: not isinstance(value, float) or np.isfinite(value) for name, value in fields.items()}
    return {name: value if is_finite[name] else None for name, value in fields.items()}
