"""Files of records: JSON lines, only ever appended to, by several processes at a time."""

import fcntl
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tilewright.tune.error import TuneError
from tilewright.tune.record import START, VERSION, VersionError
from tilewright.tune.record_line import AnyRecord, read_line


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a file of records has.

    Members:
        records: in the order of their lines.
        notes: on each line that is none, by its number and the reason; a line for the user each.
    """

    records: tuple[AnyRecord, ...]
    notes: tuple[str, ...]


def read_records(path: str | os.PathLike[str]) -> Reading:
    """All records of a file that is there, and why other lines are none.

    Raises:
        TuneError: if it is a file of something else.
        OSError: if it cannot be read.
    """
    with RecordFile(path, is_read_only=True) as file:
        return file.read()


class RecordFile:
    """A file of records, opened to read and append; a context manager.

    What is appended survives the end of this process, however it ends. A line that was cut off stays where
    it is, as nobody's record: the next begins a new line. Nothing is ever changed or removed.

    Args:
        path: of the file; made if it is not there.
        is_read_only: whether it must be there, and nothing is appended.

    Raises:
        TuneError: if it is a file of something else.
        OSError: if it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, is_read_only: bool = False) -> None:
        self.path = Path(path)
        flags = os.O_RDONLY if is_read_only else os.O_RDWR | os.O_APPEND | os.O_CREAT
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            self._refuse_other_files()
        except BaseException:
            self.close()
            raise

    def _refuse_other_files(self) -> None:
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise TuneError(f"{self.path}: records must be kept in a regular file")
        first, _, _ = os.pread(self._descriptor, len(START), 0).partition(b"\n")
        # A first line may have been cut off anywhere.
        if not START.startswith(first):
            raise TuneError(
                f"{self.path}: must be a file of records, whose lines begin with {START.decode()}, "
                f"and nothing is appended to another: give a new name"
            )

    def read(self) -> Reading:
        """All records of the file, and why the other lines are none.

        Raises:
            OSError: if it cannot be read.
        """
        records: list[AnyRecord] = []
        notes: list[str] = []
        others: dict[int, list[int]] = defaultdict(list)
        for number, line in self._lines():
            try:
                records.append(read_line(line))
            except VersionError as error:
                others[error.version].append(number)
            except TuneError as error:
                notes.append(self._note(number, line, error))
        notes.extend(self._note_of_others(*item) for item in others.items())
        return Reading(records=tuple(records), notes=tuple(notes))

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line

    def _note(self, number: int, line: bytes, error: TuneError) -> str:
        if not line.endswith(b"\n"):
            return f"{self.path}:{number}: the last line is cut off: what it told is measured again"
        return f"{self.path}:{number}: not a record, so it is skipped: {error}"

    def _note_of_others(self, version: int, numbers: list[int]) -> str:
        lines = ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")
        return (
            f"{self.path}: {len(numbers)} records of version {version} are skipped, as this is "
            f"version {VERSION}: lines {lines}"
        )

    def append(self, record: AnyRecord) -> None:
        """Add a record, whole, behind all others.

        Raises:
            OSError: if there is no room.
        """
        # The lock is for the look at the end, and for a write that comes in parts.
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            line = record.line()
            rest = memoryview(line if self._is_at_line_start() else b"\n" + line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            error.filename = os.fspath(self.path)
            raise
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _is_at_line_start(self) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n"

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
