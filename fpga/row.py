"""Lines of results in a file that grows: comma-separated, the first line names the columns."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tilewright.isa.error import TilewrightError


def append_row(path: Path, row: Mapping[str, str | int | float]) -> None:
    """Write one line at the end of a file; a new file begins with the names of the columns.

    Raises:
        TilewrightError: the file has other columns, or cannot be written.
    """
    columns = list(row)
    try:
        with path.open("a+", newline="") as file:
            file.seek(0)
            lines = list(csv.reader(file))
            if lines and lines[0] != columns:
                remedy = "give its lines what is missing, or append to a new file"
                raise TilewrightError(f"{path} must have the columns {', '.join(columns)}: {remedy}")
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([row.values()] if lines else [columns, row.values()])
    except OSError as error:
        raise TilewrightError(f"{path} must be a file that can be written: {error.strerror}") from error
