"""Records of instructions: classes share room, fields of one class never do."""

import numpy as np
import pytest

from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.instruction import INSTRUCTIONS, specs
from tilewright.sim.record import instruction_record, put_fields


@pytest.mark.parametrize("kind", INSTRUCTIONS)
@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_a_record_holds_every_field_of_its_class(kind, end):
    values = {name: getattr(spec, end) for name, spec in specs(kind).items() if not spec.values}
    table = decode_table(encode_program([kind(**values)] * 3))
    records = np.zeros(3, instruction_record("opcode"))
    put_fields(records, table)
    for name, value in values.items():
        assert (records[name] == value).all()


def test_records_have_room_for_the_largest_class_alone():
    most = max(len(specs(kind)) for kind in INSTRUCTIONS)
    assert most <= instruction_record().itemsize // 8 < 2 * most
