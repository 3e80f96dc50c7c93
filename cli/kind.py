"""What a file is that a command is given, by its contents."""

from enum import Enum, auto
from pathlib import Path

# Text has none of these; the first byte of an ONNX file is one.
_NO_TEXT = frozenset(range(32)) - set(b"\t\n\r\f")
_SOME_BYTES = 4096


class Kind(Enum):
    """What can be run."""

    ONNX = auto()
    MODEL = auto()
    PROGRAM = auto()


def kind_of(path: str) -> Kind:
    """An ONNX file, a compiled model, or a program as executable or text.

    Raises:
        ExecutableError: if it begins like an executable and is none.
        OSError: if it cannot be read.
    """
    from tilewright.isa.executable import MAGIC, Executable
    from tilewright.isa.model import is_model

    with open(path, "rb") as file:
        first = file.read(_SOME_BYTES)
    if first[: len(MAGIC)] == MAGIC:
        return Kind.MODEL if is_model(Executable.load(path)) else Kind.PROGRAM
    # The name decides where the contents could be a text: a damaged or empty model, say.
    return Kind.ONNX if _NO_TEXT.intersection(first) or Path(path).suffix == ".onnx" else Kind.PROGRAM
