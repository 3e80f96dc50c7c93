"""Tables hold a function of one int8."""

import numpy as np
import pytest

from tilewright.numerics.table import look_up, make_table


def test_entry_y_plus_128_is_the_saturated_value_at_y():
    table = make_table(lambda y: 2 * y)
    assert table.dtype == np.int8
    assert [table[y + 128] for y in (-128, -64, -1, 0, 63, 64, 127)] == [-128, -128, -2, 0, 126, 127, 127]


def test_each_lane_has_its_own_table():
    tables = np.stack([make_table(lambda y: y), make_table(lambda y: -y)])
    y = np.array([[-128, -128], [5, 5], [127, 127]], np.int8)
    assert look_up(tables, y).tolist() == [[-128, 127], [5, -5], [127, -127]]


def test_a_function_of_another_length_is_refused():
    with pytest.raises(ValueError, match="must give 256 values for 256, not shape"):
        make_table(lambda y: y[:3])
