"""The files beside a model file that hold its weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError


def weight_files(path: str | Path) -> tuple[Path, ...]:
    """The files of external data that a model file names, each once; none where it is no model."""
    try:
        model = onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, ValueError, OSError):
        return ()
    names = (_location(tensor) for tensor in _tensors(model.graph))
    return tuple(dict.fromkeys(Path(path).parent / name for name in names if name))


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))


def _location(tensor: Any) -> str | None:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return None
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), None)
