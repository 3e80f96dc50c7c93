"""What a file is that a command is given, by its contents."""

import os
import stat
from enum import Enum, auto
from pathlib import Path

# Text has none of these; the first byte of an ONNX file is one.
_NO_TEXT = frozenset(range(32)) - set(b"\t\n\r\f")
_SOME_BYTES = 4096


class Kind(Enum):
    """What can be run."""

    ONNX = auto()
    PACKAGE = auto()
    MODEL = auto()
    PROGRAM = auto()


def kind_of(path: str) -> Kind:
    """An ONNX file, a package, a compiled model of one program, or a program as executable or text.

    Raises:
        TilewrightError: if it is a device or a pipe.
        ExecutableError: if it begins like an executable and is none.
        OSError: if it cannot be read.
    """
    from tilewright.isa.container import MAGIC
    from tilewright.isa.executable import Executable
    from tilewright.isa.model import is_model

    require_plain(path)
    with open(path, "rb") as file:
        first = file.read(_SOME_BYTES)
    if first[: len(MAGIC)] == MAGIC:
        if _is_package(path):
            return Kind.PACKAGE
        return Kind.MODEL if is_model(Executable.load(path)) else Kind.PROGRAM
    # The name decides where the contents could be a text: a damaged or empty model, say.
    return Kind.ONNX if _NO_TEXT.intersection(first) or Path(path).suffix == ".onnx" else Kind.PROGRAM


def _is_package(path: str) -> bool:
    from tilewright.isa.container import ExecutableError, read_file, unpack
    from tilewright.isa.executable import PACKAGE

    try:
        return PACKAGE in unpack(read_file(path))[0]
    except ExecutableError as error:
        raise ExecutableError(f"{path}: {error}") from None


def require_plain(path: str) -> None:
    """Refuse devices and pipes, which have no end, or can be read only once.

    Raises:
        TilewrightError: naming the path.
        OSError: if there is no such file.
    """
    from tilewright.isa.error import TilewrightError

    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise TilewrightError(f"{path}: must be a plain file, not a device or a pipe: save it as one")
