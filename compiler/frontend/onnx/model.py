"""Model files: read, parsed and checked, before anybody looks at what they mean."""

import os
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError, EncodeError, Message

from tilewright.compiler.frontend.error import FrontendError

OLDEST_OPSET = 7
"""Broadcasting and batch norm mean what they mean today from here on."""
Source = Any
"""A path, the bytes of a file, or an onnx.ModelProto."""


def read_model(source: Source) -> Any:
    """The ModelProto of a source: checked, data outside of the file read, its functions inlined.

    Raises:
        FrontendError: if there is no such file, or it is no valid model of a known version.
    """
    what, folder = _place(source)
    model = onnx.ModelProto()
    if isinstance(source, onnx.ModelProto):
        model.CopyFrom(source)
    else:
        _parse(what, _data(what, source), model)
    _check_texts(what, model)
    _check_opset(what, model)
    for tensor in _tensors(model.graph):
        _load_external(what, folder, tensor)
    _check(what, model)
    return _inlined(what, model)


def opsets(model: Any) -> dict[str, int]:
    """The version of each domain of operators that a model uses; the standard one is ""."""
    return {_domain(each.domain): each.version for each in model.opset_import}


def one_line(error: object) -> str:
    """The text of an error without its line breaks."""
    return " ".join(str(error).split())


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _place(source: Source) -> tuple[str, Path | None]:
    """How messages call it, and where files beside it are."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        return str(path), path.parent
    if isinstance(source, (bytes, bytearray, onnx.ModelProto)):
        return "the model", None
    raise FrontendError(f"a model must be a path, bytes or an onnx.ModelProto, not {type(source).__name__}")


def _data(what: str, source: Source) -> bytes:
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    try:
        return Path(source).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise FrontendError(f"{what} cannot be read: {reason}") from error


def _parse(what: str, data: bytes, model: Any) -> None:
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RuntimeError) as error:
        raise FrontendError(
            f"{what} must be an ONNX file: it is corrupt, incomplete or something else"
        ) from error
    if not model.HasField("graph"):
        raise FrontendError(f"{what} must be an ONNX file with a graph, and has none")


def _check_texts(what: str, message: Any) -> None:
    """Raises FrontendError for names that are no UTF-8: protobuf gives them as bytes."""
    for field, value in message.ListFields():
        if field.type not in (field.TYPE_STRING, field.TYPE_MESSAGE):
            continue
        values = [value] if isinstance(value, (str, bytes, Message)) else list(value)
        for each in values:
            if isinstance(each, bytes):
                raise FrontendError(f"{what} must have names in UTF-8, not {each[:40]!r}")
            if isinstance(each, Message):
                _check_texts(what, each)


def _check_opset(what: str, model: Any) -> None:
    if model.ir_version > onnx.IR_VERSION:
        raise FrontendError(f"{what} must have an IR version up to {onnx.IR_VERSION}, not {model.ir_version}")
    version, newest = opsets(model).get("", 0), onnx.defs.onnx_opset_version()
    if version and not OLDEST_OPSET <= version <= newest:
        raise FrontendError(
            f"{what} must use operators of opset {OLDEST_OPSET} to {newest}, not {version}: "
            "export it again, or use onnx.version_converter"
        )


def _check(what: str, model: Any) -> None:
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, UnicodeDecodeError, RuntimeError, TypeError) as error:
        raise FrontendError(f"{what} must be a valid ONNX model: {one_line(error)}") from error
    except (EncodeError, ValueError):
        # Models above 2 GB cannot be handed to the checker; what matters is checked node by node too.
        return


def _inlined(what: str, model: Any) -> Any:
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:
        raise FrontendError(f"{what} must have functions that can be inlined: {one_line(error)}") from error


def _tensors(graph: Any) -> list[Any]:
    """All constants, those in attributes and in graphs inside as well."""
    found = [*graph.initializer]
    found += [part for sparse in graph.sparse_initializer for part in (sparse.values, sparse.indices)]
    for node in graph.node:
        for attribute in node.attribute:
            found += [attribute.t] if attribute.HasField("t") else []
            found += attribute.tensors
            inner = [attribute.g] if attribute.HasField("g") else []
            found += [tensor for each in (*inner, *attribute.graphs) for tensor in _tensors(each)]
    return found


def _load_external(what: str, folder: Path | None, tensor: Any) -> None:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    name = f"{what}: external data of {tensor.name!r}"
    if folder is None:
        raise FrontendError(f"{name} must lie beside a file: give the model by its path")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _external_path(name, folder, entries.get("location", ""))
    offset = _number(name, "offset", entries.get("offset", "0"))
    try:
        size = path.stat().st_size
        length = _number(name, "length", entries["length"]) if "length" in entries else size - offset
        if length < 0 or offset + length > size:
            raise FrontendError(
                f"{name} must lie inside of {path.name} ({size} bytes), not at {offset} + {length}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
    except OSError as error:
        raise FrontendError(f"{name} cannot be read from {path}: {error.strerror}") from error
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _external_path(name: str, folder: Path, location: str) -> Path:
    """The file, which must be inside of the folder: a model must not read what it likes."""
    inside = folder.resolve()
    try:
        path = (inside / location).resolve()
    except (OSError, ValueError) as error:
        raise FrontendError(f"{name} must have a location that is a path, not {location!r}") from error
    if not location or not path.is_relative_to(inside) or path == inside:
        raise FrontendError(f"{name} must be in the folder of the model, not at {location!r}")
    return path


def _number(name: str, key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise FrontendError(f"{name} must have {'an' if key == 'offset' else 'a'} {key} from 0, not {text!r}")
    return int(text)
