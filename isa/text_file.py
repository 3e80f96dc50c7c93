"""Files of text that users write: UTF-8 of a bounded size, with or without a byte-order mark."""

import os
from pathlib import Path

from tilewright.isa.error import TilewrightError

TEXT_LIMIT_BYTES = 1 << 26
"""More than any program has: a file without an end is refused, not read for ever."""


class TextError(TilewrightError):
    """A file that is no text, or has no end."""


def read_text(path: str | os.PathLike[str], form: str = "text in UTF-8") -> str:
    """The text of a file, without its byte-order mark.

    Args:
        path: of the file.
        form: what the file must be, in errors.

    Raises:
        TextError: if it is longer than `TEXT_LIMIT_BYTES` or not in UTF-8.
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(TEXT_LIMIT_BYTES + 1)
    if len(data) > TEXT_LIMIT_BYTES:
        limit = f"{TEXT_LIMIT_BYTES >> 20} MiB"
        raise TextError(f"{os.fspath(path)}: must be {form} of at most {limit}: is it the right file?")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise TextError(f"{os.fspath(path)}: must be {form}: {error}") from None
