"""ONNX files with the names of their inputs and outputs."""

import os
from pathlib import Path

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.frontend.onnx.importer import import_model
from tilewright.compiler.frontend.onnx.model import read_model
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.named import NamedFunction


def load_onnx(path: str | os.PathLike[str]) -> NamedFunction:
    """The function of a model file, which is called as the model is, with the names of its ports.

    Raises:
        FrontendError: as `import_model`; the message begins with the path.
    """
    proto = read_model(path)
    fixed = {tensor.name for tensor in proto.graph.initializer}
    inputs = tuple(value.name for value in proto.graph.input if value.name not in fixed)
    try:
        main = import_model(proto).main
    except UnknownInputsError as error:
        raise UnknownInputsError(f"{path}: {error}", error.inputs) from error
    except FrontendError as error:
        raise FrontendError(f"{path}: {error}") from error
    name = _identifier(proto.graph.name) or _identifier(Path(path).stem) or "main"
    function = Function(name, main.parameters, main.equations, main.results)
    return NamedFunction(function, inputs, tuple(value.name for value in proto.graph.output))


def _identifier(text: str) -> str:
    """A text as the name of a function."""
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in text)
    return plain.lstrip("0123456789_")
