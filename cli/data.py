"""Arrays, labels and pictures as files that the user names."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Shapes = Mapping[str, tuple[int, ...]]

_ZIP, _NPY = b"PK\x03\x04", b"\x93NUMPY"
_GREY, _RGB = 1, 3
_MODES = ("1", "L", "P", "RGB")
"""Pictures whose pixels are grey or RGB, and nothing besides."""


def read_arrays(path: str, shapes: "Shapes") -> "Mapping[str, Array]":
    """The arrays of a file by name: .npz, .npy or a picture, as its contents say.

    Args:
        path: of the file.
        shapes: of a sample of each input of the model, for what has no names.

    Raises:
        TilewrightError: if the file is none of these, or has no names where the model has several inputs.
        OSError: if it cannot be read.
    """
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


def _only(path: str, shapes: "Shapes") -> tuple[str, tuple[int, ...]]:
    """Name and shape of the only input."""
    from tilewright.isa.error import TilewrightError

    if len(shapes) != 1:
        raise TilewrightError(f"{path}: must be an .npz file with arrays named {', '.join(shapes)}")
    return next(iter(shapes.items()))


def _read_npz(path: str) -> "Mapping[str, Array]":
    return dict(_load(path))


def _read_npy(path: str) -> "Array":
    import numpy as np

    from tilewright.isa.error import TilewrightError

    array = _load(path)
    if not isinstance(array, np.ndarray):
        raise TilewrightError(f"{path}: must be one array (.npy), not an archive of arrays")
    return array


def _load(path: str) -> Any:
    """An array, or a mapping of arrays, all of them read."""
    import numpy as np

    from tilewright.isa.error import TilewrightError

    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise TilewrightError(f"{path}: must be a whole NumPy file (.npy, .npz): {error}") from None


def _read_picture(path: str, shape: tuple[int, ...]) -> "Array":
    """uint8 of `shape`, which is channels, height, width: grey or RGB pixels as they are."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from tilewright.isa.error import TilewrightError

    if len(shape) != 3 or shape[0] not in (_GREY, _RGB):
        raise TilewrightError(f"{path}: a picture must go to an input of 1 or 3 channels, not {list(shape)}")
    channels, height, width = shape
    try:
        with Image.open(path) as picture:
            if picture.mode not in _MODES:
                raise TilewrightError(f"{path}: pixels must be grey or RGB, not {picture.mode}: convert them")
            if picture.size != (width, height):
                size = "×".join(map(str, picture.size))
                raise TilewrightError(f"{path}: must be {width}×{height} pixels, not {size}: resize it")
            pixels = np.asarray(picture.convert("L" if channels == _GREY else "RGB"))
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise TilewrightError(f"{path}: must be an .npz or .npy file or a whole picture") from None
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)
