"""Files from which training goes on: arrays, and words that say of what."""

import json
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from tilewright.api.error import PackageError
from tilewright.isa.output_file import write_files

Array = NDArray[Any]


def write_checkpoint(path: str | os.PathLike[str], told: Mapping[str, Any], arrays: Sequence[Array]) -> None:
    """Write a checkpoint, whole or not at all: a run that is ended meanwhile leaves the file that was there.

    Args:
        path: of the file.
        told: what JSON can hold.
        arrays: of any types and shapes.

    Raises:
        OSError: if it cannot be written.
    """
    numbered: dict[str, Any] = {f"array_{number}": array for number, array in enumerate(arrays)}
    contents = BytesIO()
    np.savez(contents, about=np.array(json.dumps(told)), **numbered)
    write_files({os.fspath(path): contents.getvalue()})


def read_checkpoint(
    path: str | os.PathLike[str], own: Mapping[str, Any], like: Sequence[Array]
) -> tuple[Mapping[str, Any], list[Array]]:
    """What a checkpoint tells, and its arrays.

    Args:
        path: of the file.
        own: what it must tell, among other things.
        like: arrays of the types and shapes that it must have.

    Raises:
        PackageError: if it is no checkpoint, or one of something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
            told = json.loads(str(found["about"]))
            arrays = [found[f"array_{number}"] for number in range(len(like))]
            known = dict(told)
    except (ValueError, KeyError, OSError, EOFError, TypeError, BadZipFile) as error:
        raise PackageError(f"a checkpoint must be a file of training, not {path}: {error}") from None
    alike = all(
        (new.shape, new.dtype) == (old.shape, old.dtype) for new, old in zip(arrays, like, strict=True)
    )
    if not alike or {name: known.get(name) for name in own} != dict(own):
        raise PackageError(
            f"a checkpoint must be of this network and these options, and {path} is of others: "
            "name another file, or delete it"
        )
    return known, arrays
