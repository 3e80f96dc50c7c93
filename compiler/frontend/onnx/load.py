"""ONNX files with the names of their inputs and outputs."""

import os
from collections.abc import Mapping
from pathlib import Path

from tilewright.compiler.frontend.error import FrontendError
from tilewright.compiler.frontend.onnx.error import UnknownInputsError
from tilewright.compiler.frontend.onnx.importer import import_model
from tilewright.compiler.frontend.onnx.model import Source, read_model
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.named import NamedFunction


def load_onnx(source: Source, sizes: Mapping[str, int] | None = None) -> NamedFunction:
    """The function of a model, which is called as the model is, with the names of its ports.

    Args:
        source: a path, the bytes of a file, or an onnx.ModelProto.
        sizes: numbers for symbolic sizes by name.

    Raises:
        IrError: for a size that no input has, or a number that is no size.
        FrontendError: as `import_model`; the message begins with the path, if there is one.
    """
    proto = read_model(source)
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    where = f"{path}: " if path else ""
    fixed = {tensor.name for tensor in proto.graph.initializer}
    inputs = tuple(value.name for value in proto.graph.input if value.name not in fixed)
    try:
        main = import_model(proto, sizes=sizes).main
    except UnknownInputsError as error:
        raise UnknownInputsError(f"{where}{error}", error.inputs) from error
    except FrontendError as error:
        raise FrontendError(f"{where}{error}") from error
    name = _identifier(proto.graph.name) or _identifier(Path(path).stem) or "main"
    function = Function(name, main.parameters, main.equations, main.results)
    return NamedFunction(function, inputs, tuple(value.name for value in proto.graph.output))


def _identifier(text: str) -> str:
    """A text as the name of a function."""
    plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in text)
    return plain.lstrip("0123456789_")
