"""Condensed Verilog says the same in fewer words."""

import pytest

from tilewright.runtime.rtl_text import condense


@pytest.mark.parametrize(("item", "count"), [("sign", 3), ("sign[20]", 11), (r"\$55 [20]", 5), (r"\a.b ", 4)])
def test_what_is_repeated_becomes_a_replication(item, count):
    repeated = ", ".join([item] * count)
    rest = r"\$55 [19:0]"
    assert (
        condense(f"assign y = {{ {repeated}, {rest} }};")
        == f"assign y = {{ {{{count}{{{item}}}}}, {rest} }};"
    )


def test_a_concatenation_of_nothing_else_is_kept_valid():
    assert condense("assign y = { a[3], a[3], a[3], a[3] };") == "assign y = { {4{a[3]}} };"


@pytest.mark.parametrize(
    "text",
    [
        "assign y = { a[3], a[3], a };",
        "assign y = { a[3], a[31], a[3], a[31] };",
        "assign y = { aa, a, a };",
        "assign y = { a, a, aa };",
        "module m(a, b, c);",
    ],
)
def test_what_is_not_repeated_stays(text):
    assert condense(text) == text


def test_repetitions_across_lines_are_found():
    assert condense("{ s[1], s[1],\n  s[1], s[1] }") == "{ {4{s[1]}} }"


def test_memories_that_begin_as_0_say_nothing():
    text = "  reg [7:0] m [3:0];\n  initial begin\n    m[0] = 8'h00;\n    m[1] = 8'h00;\n  end\n  always @*\n"
    assert condense(text) == "  reg [7:0] m [3:0];\n  always @*\n"


def test_other_contents_of_memories_stay():
    text = "  initial begin\n    m[0] = 8'h00;\n    \\m$1 [1] = 8'h10;\n  end\n"
    assert condense(text) == "  initial begin\n    \\m$1 [1] = 8'h10;\n  end\n"
