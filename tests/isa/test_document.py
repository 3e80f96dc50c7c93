from repository import ROOT
from tilewright.isa.assembly import assemble
from tilewright.isa.document import document
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import INSTRUCTIONS, specs
from tilewright.isa.register import REGISTERS


def test_the_page_is_what_the_tables_say():
    committed = (ROOT / "docs" / "isa.md").read_text(encoding="utf-8")
    assert committed == document(), "run: python -m tilewright.isa.document > docs/isa.md"


def test_every_field_register_and_cause_is_on_the_page():
    text = document()
    names = {name for kind in INSTRUCTIONS for name in specs(kind)} | set(REGISTERS)
    assert all(f"| `{name}` |" in text for name in names)
    assert all(f"| {cause.value} | {cause.name} |" in text for cause in Cause)


def test_the_example_on_the_page_is_a_program():
    example = document().split("```")[1]
    assert len(assemble(example).program) == 3
