"""Tilewright: networks on small tensor accelerators, simulated to the cycle.

    package = tilewright.compile("model.onnx", calibration={"x": typical_inputs})
    result = package.run({"x": inputs})
    print(result.cycles, package.explain())

What is used is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilewright.api.accuracy import Accuracy, accuracy
    from tilewright.api.compile import compile
    from tilewright.api.explanation import Explanation
    from tilewright.api.file import load
    from tilewright.api.finetune import FinetuneOptions, Finetuning, finetune
    from tilewright.api.loaded import LoadedPackage
    from tilewright.api.package import Package
    from tilewright.api.result import RunResult
    from tilewright.isa.config import Config
    from tilewright.numerics.error import TilewrightError
    from tilewright.runtime.device import Environment

_PLACES = {
    "accuracy": "tilewright.api.accuracy",
    "Accuracy": "tilewright.api.accuracy",
    "compile": "tilewright.api.compile",
    "load": "tilewright.api.file",
    "finetune": "tilewright.api.finetune",
    "Finetuning": "tilewright.api.finetune",
    "FinetuneOptions": "tilewright.api.finetune",
    "Explanation": "tilewright.api.explanation",
    "LoadedPackage": "tilewright.api.loaded",
    "Package": "tilewright.api.package",
    "RunResult": "tilewright.api.result",
    "Config": "tilewright.isa.config",
    "Environment": "tilewright.runtime.device",
    "TilewrightError": "tilewright.numerics.error",
}
__all__ = [
    "Accuracy",
    "Config",
    "Environment",
    "Explanation",
    "FinetuneOptions",
    "Finetuning",
    "LoadedPackage",
    "Package",
    "RunResult",
    "TilewrightError",
    "accuracy",
    "compile",
    "finetune",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"tilewright has no {name!r}: it has {', '.join(__all__)}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return __all__
