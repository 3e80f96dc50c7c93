"""Arrays, labels and pictures as files that the user names."""

import io
import os
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tilewright.cli.kind import require_plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Shapes = Mapping[str, tuple[int | None, ...]]

_ZIP, _NPY = b"PK\x03\x04", b"\x93NUMPY"
_GREY, _RGB = 1, 3
_MODES = ("1", "L", "P", "RGB")
"""Pictures whose pixels are grey or RGB, and nothing besides."""
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""None of them runs another program to be read."""
_NUMPY, _DATA = "a whole NumPy file (.npy, .npz)", "an .npz or .npy file or a whole picture (PNG, JPEG, …)"
_UNPACKED_BYTES, _UNPACKED_RATIO = 1 << 28, 64
"""What an archive may unpack to in any case, and beyond that for each of its bytes."""
_REASON_CHARACTERS = 200


def read_arrays(path: str, shapes: "Shapes") -> "Mapping[str, Array]":
    """The arrays of a file by name: .npz, .npy or a picture, as its contents say.

    Args:
        path: of the file.
        shapes: of a sample of each input of the model, for what has no names.

    Raises:
        TilewrightError: if the file is none of these, or has no names where the model has several inputs.
        OSError: if it cannot be read.
    """
    require_plain(path)
    with open(path, "rb") as file:
        first = file.read(len(_NPY))
    if first.startswith(_ZIP):
        return _read_npz(path)
    array = _read_npy(path) if first == _NPY else _read_picture(path, _only(path, shapes)[1])
    return {_only(path, shapes)[0]: array}


def read_labels(path: str, samples: int, classes: int) -> "NDArray[np.int64]":
    """The class of each sample, int64 [samples].

    Raises:
        TilewrightError: if the file is no .npy file, or not of so many integers below `classes`.
        OSError: if it cannot be read.
    """
    import numpy as np

    from tilewright.isa.error import TilewrightError

    require_plain(path)
    labels = _read_npy(path)
    if labels.dtype.kind not in "iu" or labels.shape != (samples,):
        raise TilewrightError(
            f"{path}: labels must be {samples} integers, one for each sample, "
            f"not {labels.dtype} {list(labels.shape)}"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise TilewrightError(f"{path}: labels must be from 0 to {classes - 1}, not {wrong[0]}")
    return labels.astype(np.int64)


def npz_bytes(arrays: "Mapping[str, Array]") -> bytes:
    """The contents of a .npz file; equal arrays have equal bytes."""
    import numpy as np

    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), part.getvalue())
    return result.getvalue()


def _only(path: str, shapes: "Shapes") -> tuple[str, tuple[int | None, ...]]:
    """Name and shape of the only input."""
    from tilewright.isa.error import TilewrightError

    if len(shapes) != 1:
        raise TilewrightError(f"{path}: must be an .npz file with arrays named {', '.join(shapes)}")
    return next(iter(shapes.items()))


def _read_npz(path: str) -> "Mapping[str, Array]":
    """The arrays of an archive, all of them read; one that unpacks to far more than it is, is refused."""
    from tilewright.isa.error import TilewrightError

    with _foreign(path, _NUMPY), zipfile.ZipFile(path) as archive:
        unpacked, packed = sum(info.file_size for info in archive.infolist()), os.path.getsize(path)
        if unpacked > max(_UNPACKED_BYTES, _UNPACKED_RATIO * packed):
            raise TilewrightError(
                f"{path}: must not unpack to {unpacked >> 20:,} MiB from {packed:,} bytes: is it damaged?"
            )
        return {name.removesuffix(".npy"): _array(archive.read(name)) for name in archive.namelist()}


def _read_npy(path: str) -> "Array":
    from tilewright.isa.error import TilewrightError

    with open(path, "rb") as file:
        data = file.read(len(_NPY))
        if data.startswith(_ZIP):
            raise TilewrightError(f"{path}: must be one array (.npy), not an archive of arrays")
        if data == _NPY:
            data += file.read()
    with _foreign(path, _NUMPY):
        return _array(data)


def _array(data: bytes) -> "Array":
    """The array that the contents of a .npy file are: they must be as long as its header says.

    Raises:
        Exception: of any kind, if they are something else.
    """
    from math import prod

    import numpy as np
    from numpy.lib import format as npy

    stream = io.BytesIO(data)
    # Version 3 is for names of fields, which no input has.
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[
        npy.read_magic(stream)
    ]
    shape, by_columns, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    given, wanted = len(data) - stream.tell(), prod(shape) * dtype.itemsize
    if given != wanted:
        raise ValueError(f"it has {given} bytes, not the {wanted} of {dtype} {list(shape)}")
    flat = np.frombuffer(data, dtype, offset=stream.tell())
    return np.array(flat.reshape(shape, order="F" if by_columns else "C"))


def _read_picture(path: str, shape: tuple[int | None, ...]) -> "Array":
    """uint8 of `shape`, which is channels, height, width: grey or RGB pixels as they are."""
    import numpy as np
    from PIL import Image

    from tilewright.isa.error import TilewrightError

    known = [size for size in shape if size is not None]
    if len(shape) != 3 or shape[0] not in (_GREY, _RGB):
        raise TilewrightError(f"{path}: a picture must go to an input of 1 or 3 channels, not {list(shape)}")
    if len(known) < 3:
        raise TilewrightError(f"{path}: a picture must go to an input of known size: give --size NAME=NUMBER")
    channels, height, width = known
    with _foreign(path, _DATA), Image.open(path, formats=_FORMATS) as picture:
        if picture.mode not in _MODES:
            raise TilewrightError(f"{path}: pixels must be grey or RGB, not {picture.mode}: convert them")
        if picture.size != (width, height):
            size = "×".join(map(str, picture.size))
            raise TilewrightError(f"{path}: must be {width}×{height} pixels, not {size}: resize it")
        pixels = np.asarray(picture.convert("L" if channels == _GREY else "RGB"))
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


@contextmanager
def _foreign(path: str, wanted: str) -> Iterator[None]:
    """Around readers of foreign formats: for a damaged file they raise errors of any kind, or warn.

    Raises:
        TilewrightError: in place of all of these.
        OSError: if the system cannot read the file.
    """
    from tilewright.isa.error import TilewrightError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except TilewrightError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
            raise
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS] or type(error).__name__
        raise TilewrightError(f"{path}: must be {wanted}: {reason}") from error
