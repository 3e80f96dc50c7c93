"""Lines of a file of records: measurements of single layers, and of whole programs."""

from tilewright.tune.program_record import ProgramRecord, program_record_of
from tilewright.tune.record import Record, read_fields, record_of

AnyRecord = Record | ProgramRecord


def read_line(line: bytes) -> AnyRecord:
    """The record that a line is.

    Raises:
        VersionError: if it is one of another version.
        TuneError: if it is none: the reason.
    """
    fields = read_fields(line)
    return program_record_of(fields) if "program" in fields else record_of(fields)
