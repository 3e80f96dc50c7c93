"""The literals of a function as bytes: the same for the same arrays, and without pickle.

A zip, uncompressed: an entry for each literal, named by its digest, with the elements in the order of rows,
little-endian; and an index that has the element type and the shape of each.
"""

import json
import lzma
import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.error import IrError

_INDEX = "index.json"
"""The entry with the element type and shape of each digest."""
_DAMAGES = (
    BadZipFile, KeyError, TypeError, ValueError, AttributeError, EOFError, NotImplementedError, RuntimeError,
    OverflowError, OSError, RecursionError, zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip
"""The exceptions raised on reading other bytes."""


def save_tensors(tensors: Mapping[str, Literal]) -> bytes:
    """The literals by digest as bytes, which `load_tensors` reads."""
    result = BytesIO()
    index = {digest: [each.type.dtype.value, list(each.array.shape)] for digest, each in tensors.items()}
    with ZipFile(result, "w") as archive:
        archive.writestr(ZipInfo(_INDEX), json.dumps(index))
        for digest, literal in tensors.items():
            stored = literal.array.dtype.newbyteorder("<")
            archive.writestr(ZipInfo(digest), literal.array.astype(stored).tobytes())
    return result.getvalue()


def load_tensors(data: bytes) -> dict[str, Literal]:
    """The literals by digest.

    Raises:
        IrError: if these are not the bytes of `save_tensors`.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            index = json.loads(archive.read(_INDEX))
            found = {
                digest: _literal(archive.read(digest), DType(dtype), shape)
                for digest, (dtype, shape) in index.items()
            }
    except _DAMAGES as error:
        raise IrError(f"the tensors must be a zip of arrays and their index: {error}") from error
    for digest, literal in found.items():
        if literal.digest != digest:
            raise IrError(f"tensor {digest} must have that digest, not {literal.digest}: it was altered")
    return found


def _literal(data: bytes, dtype: DType, shape: list[int]) -> Literal:
    return Literal(np.frombuffer(data, dtype.numpy.newbyteorder("<")).reshape(shape))
