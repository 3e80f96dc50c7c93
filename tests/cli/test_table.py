"""Tables line up."""

import pytest

from tilewright.cli.table import format_table


def test_columns_line_up_without_trailing_blanks():
    printed = format_table(("name", "of"), [("a", "long cell"), ("longer", "")])
    assert printed.splitlines() == ["name    of", "------  ---------", "a       long cell", "longer"]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="zip"):
        format_table(("a", "b"), [("1",)])
