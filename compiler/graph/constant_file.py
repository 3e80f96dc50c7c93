"""Constants as bytes: the same for the same arrays, and without pickle."""

import json
from collections.abc import Mapping
from io import BytesIO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.ops.operator import Array

_NAMES = "names.json"
"""A list of the names: entry i belongs to the file i.npy. Names of values need not be names of files."""


def save_constants(constants: Mapping[str, Array]) -> bytes:
    """A zip of .npy files; `load_constants` reads it."""
    result = BytesIO()
    with ZipFile(result, "w") as archive:
        archive.writestr(ZipInfo(_NAMES), json.dumps(list(constants)))
        for number, array in enumerate(constants.values()):
            archive.writestr(ZipInfo(f"{number}.npy"), _npy(array))
    return result.getvalue()


def load_constants(data: bytes) -> dict[str, Array]:
    """The arrays by name.

    Raises:
        GraphError: if these are not the bytes of `save_constants`.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            names = json.loads(archive.read(_NAMES))
            return {name: _array(archive.read(f"{number}.npy")) for number, name in enumerate(names)}
    except (BadZipFile, KeyError, TypeError, ValueError, EOFError, NotImplementedError) as error:
        raise GraphError(f"the constants must be a zip of arrays and their names: {error}") from error


def _npy(array: Array) -> bytes:
    buffer = BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return buffer.getvalue()


def _array(data: bytes) -> Array:
    array: Array = np.lib.format.read_array(BytesIO(data), allow_pickle=False)
    return array
