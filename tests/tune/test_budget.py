import dataclasses

import pytest

from tilewright.isa.config import PRESETS
from tilewright.tune.area import Area, AreaModel
from tilewright.tune.budget import BOARDS


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_has_room_for_its_preset(name):
    board, config = BOARDS[name], PRESETS[name]
    assert list(board.lacks(config, AreaModel.fitted(board.family).area(config))) == []


def test_everything_that_is_lacking_is_named_at_once():
    board, config = BOARDS["zynq-7020"], dataclasses.replace(PRESETS["zynq-7020"], bus_bytes=16)
    asked = list(board.lacks(config, Area(lut=60_000, ff=1, dsp=221, bram=140.5)))
    assert asked == [
        "lut 60,000 of 53,200",
        "dsp 221 of 220",
        "bram 140.5 of 140",
        "bus_bytes 16, not one of 8",
    ]
