from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruction_strategy import instructions
from tilewright.isa.assembly import AssemblyError, assemble, disassemble, format_instruction
from tilewright.isa.config import PRESETS
from tilewright.isa.instruction import Finish, Load, Nop, Vector, VectorOp
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.region import Region

CUSTOM = replace(PRESETS["tiny"], cols=8)
TEXT = """\
# A program.
.config tiny
.region 3 0x1000 "in # and out"

load base=3 offset=0x40 memory=weight n_y=4 stride_y=-16 signal=matrix  # weights
  NOP runs_on=vector wait=load,store
finish
"""


def problems(text):
    with pytest.raises(AssemblyError) as error:
        assemble(text, "file.s")
    return str(error.value).splitlines()


def test_a_text_is_read_with_its_directives_and_lines():
    assembly = assemble(TEXT)
    load = Load(base=3, offset=64, memory=Memory.WEIGHT, n_y=4, stride_y=-16, signal=1 << Engine.MATRIX)
    assert assembly.program == (load, Nop(runs_on=Engine.VECTOR, wait=0b1001), Finish())
    assert assembly.lines == (5, 6, 7)
    assert assembly.config == PRESETS["tiny"]
    assert assembly.regions == (Region(3, 4096, "in # and out"),)


def test_only_what_differs_from_the_defaults_is_printed():
    instruction = Vector(op=VectorOp.ADD, a=256, immediate=-3, wait=0b1010)
    assert format_instruction(instruction) == "vector op=add a=256 immediate=-3 wait=matrix,store"
    assert format_instruction(Finish()) == "finish"


@given(
    st.lists(instructions(), max_size=6),
    st.sampled_from([None, *PRESETS.values()]),
    st.lists(
        st.builds(Region, st.integers(0, 7), st.integers(0, 1 << 48), st.sampled_from(["", "a b", "#=é"]))
    ),
)
def test_text_reads_back_exactly(program, config, regions):
    regions = tuple({region.base: region for region in regions}.values())
    assembly = assemble(disassemble(program, config, regions))
    assert list(assembly.program) == program
    assert (assembly.config, assembly.regions) == (config, regions)


def test_a_configuration_without_a_name_is_written_out():
    text = disassemble([], CUSTOM)
    assert text.startswith(".config rows=4 cols=8 ")
    assert assemble(text).config == CUSTOM


def test_a_configuration_is_read_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(CUSTOM.to_toml())
    assert assemble(f".config {path}").config == CUSTOM


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("laod", "1:1: unknown instruction 'laod': did you mean 'load'?"),
        ("load ofset=1", "1:6: unknown field of load 'ofset': did you mean 'offset'?"),
        ("load memory=wieght", "1:13: unknown value 'wieght': did you mean 'weight'?"),
        ("load memory=7", "1:13: unknown value '7': known are activation, weight, accumulator, parameter"),
        ("store wait=load,vectr", "1:17: unknown engine 'vectr': did you mean 'vector'?"),
        ("load base=8", "1:11: base must be from 0 to 7, not 8"),
        ("load pad_value=-0x81", "1:16: pad_value must be from -128 to 127, not -0x81"),
        ("load base=one", "1:11: 'one' must be a number such as 12, -3 or 0x40"),
        ("load base=", "1:11: '' must be a number such as 12, -3 or 0x40"),
        ("load base", "1:6: 'base' must be written as field=value"),
        ('load "base=1"', "1:6: 'base=1' must be written as field=value"),
        ("load base=1 base=1", "1:13: base must stand once in an instruction: remove one"),
        ("load wait=load", "1:1: load: wait must be a mask within 0b1110 (other engines only), not 0b0001"),
        (".confg tiny", "1:1: unknown directive '.confg': did you mean '.config'?"),
        (".config", "1:1: .config must name a preset, a TOML file or every size"),
        (".config rws=4", "1:9: unknown size 'rws': did you mean 'rows'?"),
        ('.region 0 4 "a', "1:13: missing closing quote of 'a'"),
        (".region 0 4 a", '1:1: .region must be followed by base register, bytes and "name"'),
        ('.region 8 4 "a"', "1:9: base of a region must be from 0 to 7, not 8"),
    ],
)
def test_an_error_names_place_word_and_remedy(line, expected):
    assert problems(line) == [f"file.s:{expected}"]


def test_sizes_that_fit_no_machine_are_refused():
    sizes = disassemble([], PRESETS["tiny"]).replace("tiny", "rows=4 cols=4")
    assert problems(sizes)[0].startswith("file.s:1:16: .config must give every size, also activation_banks")
    assert problems(".config nowhere.toml")[0].startswith("file.s:1:9: config must be a TOML file or one of")


def test_all_errors_are_told_at_once():
    found = problems("nop runs_on=x wait=y\n.config tiny\n.config tiny\n" + '.region 1 1 "a"\n' * 2)
    assert [line.split(":")[1:3] for line in found] == [["1", "13"], ["1", "20"], ["3", "1"], ["5", "9"]]
    assert "must have one region, not 'a' and 'a'" in found[-1]
