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


REGISTER = r"""module top(clk, en, d);
  reg \$1 ;
  reg [3:0] \$2 ;
  always @(posedge clk)
    kept <= \$1 ;
  always @(posedge clk)
    \wide.one <= \$2 ;
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$87 ) begin end
    \$1  = kept;
    casez (en)
      1'h1:
          \$1  = d;
    endcase
  end
  always @* begin
    if (\$auto$verilog_backend.cc:2355:dump_module$87 ) begin end
    \$2  = \wide.one [0] ? 4'h3 : 4'h4;
    if (reset) begin
      \$2 [1:0] = 2'h0;
    end
  end
endmodule
"""
MERGED = r"""module top(clk, en, d);
  reg \$1 ;
  reg [3:0] \$2 ;
  always @(posedge clk) begin
    casez (en)
      1'h1:
          kept <= d;
    endcase
  end
  always @(posedge clk) begin
    \wide.one  <= \wide.one [0] ? 4'h3 : 4'h4;
    if (reset) begin
      \wide.one [1:0]  <= 2'h0;
    end
  end
endmodule
"""


def test_the_next_value_of_a_register_is_computed_in_the_register():
    assert condense(REGISTER) == MERGED


@pytest.mark.parametrize(
    ("place", "instead"),
    [
        # The next value has another reader: outside of the process, or inside.
        ("endmodule", "  assign y = \\$1 ;\nendmodule"),
        ("casez (en)", "casez (\\$1 )"),
        (r"\$1  = d;", r"\$1  = \$1  + d;"),
        # The process computes two signals, or does not say its own at once.
        (r"    \$1  = kept;", "    \\$3  = d;\n    \\$1  = kept;"),
        (r"    \$1  = kept;", "    \\$1 [0] = kept;"),
    ],
)
def test_a_next_value_that_is_more_than_that_stays(place, instead):
    text = REGISTER.replace(place, instead)
    assert r"kept <= \$1 ;" in condense(text)


def test_names_of_another_module_do_not_count():
    other = "module other(a);\n  wire \\$1 ;\n  assign a = \\$1 ;\nendmodule\n"
    assert condense(REGISTER + other) == MERGED + other
