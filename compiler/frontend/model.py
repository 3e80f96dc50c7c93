"""Model files: read, parsed and checked, before anybody looks at what they mean."""

from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from tilewright.compiler.frontend.error import FrontendError

OLDEST_OPSET = 7
"""Broadcasting and batch norm mean what they mean today from here on."""


def read_model(path: Path) -> Any:
    """The ModelProto of a file, checked.

    Raises:
        FrontendError: if there is no such file, or it is no valid model of a known version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FrontendError(f"{path} cannot be read: {error.strerror}") from error
    try:
        model = onnx.load_model_from_string(data)
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
        _check_opset(path, model)
        onnx.checker.check_model(model)
    except DecodeError as error:
        raise FrontendError(
            f"{path} must be an ONNX file: it is corrupt, incomplete or something else"
        ) from error
    except (onnx.checker.ValidationError, OSError) as error:
        raise FrontendError(f"{path} must be a valid ONNX model: {one_line(error)}") from error
    return model


def opset(model: Any) -> int:
    """The version of the standard operators that a model uses, or 0."""
    return max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)


def one_line(error: Exception) -> str:
    """The text of an error without its line breaks."""
    return " ".join(str(error).split())


def _check_opset(path: Path, model: Any) -> None:
    version, newest = opset(model), onnx.defs.onnx_opset_version()
    if version and not OLDEST_OPSET <= version <= newest:
        raise FrontendError(
            f"{path} must use operators of opset {OLDEST_OPSET} to {newest}, not {version}: "
            "export it again, or use onnx.version_converter"
        )
