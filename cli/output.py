"""Files that a command writes: none of them over another, or over what it reads."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tilewright.isa.output_file import write_files

__all__ = ["new_folders", "require_apart", "write_files"]


def require_apart(outputs: Iterable[str | None], inputs: Iterable[str | None] = ()) -> None:
    """Refuse two outputs in one file, and an output in the place of an input; None is not given.

    Files are the same if they are so on disk, whatever their names; devices may take several outputs.

    Raises:
        TilewrightError: naming the path.
    """
    from tilewright.isa.error import TilewrightError

    read = [path for path in inputs if path is not None]
    seen: list[str] = []
    for path in (path for path in outputs if path is not None):
        if any(_same(path, other) for other in seen):
            raise TilewrightError(f"{path}: must be named for one output, not several")
        for other in read:
            if _same(path, other):
                raise TilewrightError(
                    f"{path}: must not be written, it is read as {other}: name another file"
                )
        seen.append(path)


@contextmanager
def new_folders(paths: Iterable[str]) -> Iterator[None]:
    """Folders for files that are written inside of this; those made here go again if that fails.

    Raises:
        OSError: if one cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in dict.fromkeys(Path(path).parent for path in paths):
            missing = [each for each in (folder, *folder.parents) if not each.exists()]
            for each in reversed(missing):
                each.mkdir()
                made.append(each)
        yield
    except BaseException:
        for each in reversed(made):
            with suppress(OSError):
                each.rmdir()
        raise


def _same(path: str, other: str) -> bool:
    """Whether both name one file that a write would replace."""
    try:
        return os.path.samefile(path, other) and os.path.isfile(path)
    except OSError:
        return os.path.realpath(path) == os.path.realpath(other)


def require_no_weights(model: str, outputs: Iterable[str | None]) -> None:
    """Refuse an output in the place of a file that holds the weights of an ONNX model.

    Raises:
        TilewrightError: naming the path.
    """
    # Only what is there can be lost: the model is not read for other outputs.
    there = [path for path in outputs if path is not None and os.path.isfile(path)]
    if there and os.path.isfile(model):
        from tilewright.compiler.frontend.external import weight_files

        require_apart(there, map(str, weight_files(model)))
