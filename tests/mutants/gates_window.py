"""Mistakes in the gates of the sliding window: when it slides, how its loops vary, what a lane keeps."""

from tests.mutants.mutant import Mutant, suite

_ADDRESS = suite("hw/test_address.py")
_SLIDING = suite("hw/test_vector.py::test_windows_slide_over_kernels_of_all_sizes_in_every_bit_and_cycle[2]")
_ROWS = suite("hw/test_vector.py::test_a_window_keeps_the_chunks_of_as_many_rows_as_fit")
_ONE_INPUT = suite("hw/test_vector.py::test_a_window_slides_along_lines_of_one_input")
_SLOWLY = suite("hw/test_vector.py::test_a_window_slides_as_slowly_as_the_requantiser_needs")
_WEIGHTS = suite("hw/test_vector.py::test_a_window_reads_weights_with_the_first_result_of_a_line_alone")
_NOT_SLIDING = suite("hw/test_vector.py::test_a_window_does_not_slide_where_weights_move_or_nothing_is_added")

MUTANTS = (
    Mutant(
        name="sliding-entry",
        file="hw/window_issue.py",
        old='"entry": newest + step}',
        new='"entry": newest}',
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-chunks-apart",
        file="hw/window_issue.py",
        old='{"apart": taps_apart(step),',
        new='{"apart": 1,',
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-rows-fit",
        file="hw/window_issue.py",
        old="(rows >= fitting[0]) & (rows <= fitting[-1])",
        new="rows >= fitting[0]",
        check=_ROWS,
    ),
    Mutant(
        name="sliding-requantiser-keeps-up",
        file="hw/window_issue.py",
        old="(rows >= fitting[0]) & (rows <= fitting[-1])",
        new="rows <= fitting[-1]",
        check=_SLOWLY,
    ),
    Mutant(
        name="sliding-weights-move",
        file="hw/window_issue.py",
        old="moves = (head.b_stride_0 != 0) | (head.b_stride_1 != 0)",
        new="moves = head.b_stride_0 != 0",
        check=_NOT_SLIDING,
    ),
    Mutant(
        name="sliding-steps-exclude-each-other",
        file="hw/window_issue.py",
        old="serves & by_two & ~by_one",
        new="serves & by_two",
        check=_ONE_INPUT,
    ),
    Mutant(
        name="sliding-counts-chunk-down",
        file="hw/window_issue.py",
        old="Mux(kernel.strided, 0, WINDOW_TAPS - 1)",
        new="Mux(kernel.strided, 0, WINDOW_TAPS)",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-second-chunk-fresh",
        file="hw/window_issue.py",
        old="behind = Mux(kernel.strided, row_begins, complete)",
        new="behind = complete",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-odd-columns",
        file="hw/window_issue.py",
        old="turned = kernel.strided & kernel.newest[0] & ~self.further",
        new="turned = kernel.strided & kernel.newest[0]",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-chunk-of-row",
        file="hw/window_issue.py",
        old="high.eq(high + self.row_ends)",
        new="high.eq(high)",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-places",
        file="hw/window_issue.py",
        old="low, high = Signal(), Signal(range(WINDOWS // 2))",
        new="low, high = Signal(), Signal(range(WINDOWS // 4))",
        check=_ROWS,
    ),
    Mutant(
        name="sliding-fresh-clears",
        file="hw/lane_window.py",
        old="Mux(control.fresh, 0, kept.weight[age - 1])",
        new="kept.weight[age - 1]",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-partial-newest",
        file="hw/lane_window.py",
        old="Mux(control.partial, 0, chunk.weight[0])",
        new="chunk.weight[0]",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-partial-older",
        file="hw/lane_window.py",
        old="multiplies = control.slides & ~control.partial",
        new="multiplies = control.slides",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-older-where-nothing-slides",
        file="hw/lane_window.py",
        old="multiplies = control.slides & ~control.partial",
        new="multiplies = ~control.partial",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-older-sign",
        file="hw/lane_window.py",
        old="below + rows[3] if top > 0 else below - rows[3]",
        new="below + rows[3]",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-both-inputs",
        file="hw/lane_window.py",
        old="both.eq(chunk.input[0] + chunk.input[1])",
        new="both.eq(chunk.input[0] | chunk.input[1])",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-inputs-shift",
        file="hw/lane_window.py",
        old="write.data.input[1].eq(kept.input[0])",
        new="write.data.input[1].eq(kept.input[1])",
        check=_SLIDING,
    ),
    Mutant(
        name="sliding-reads-weights-anew",
        file="hw/vector_issue.py",
        old="slots.item & ~nest.further if self.slides",
        new="slots.item if self.slides",
        check=_WEIGHTS,
    ),
    Mutant(
        name="nest-varies-anew",
        file="hw/address.py",
        old="self.varies & (varying | (self.further & ~outside.any()))",
        new="self.varies & (varying | self.further)",
        check=_ADDRESS,
    ),
    Mutant(
        name="nest-enters-once",
        file="hw/address.py",
        old="entering, loop = self.varies & ~self.further,",
        new="entering, loop = self.varies,",
        check=_ADDRESS,
    ),
    Mutant(
        name="nest-varied-end",
        file="hw/address.py",
        old="return _Loop(remaining=remaining, single=anew[1], last=last)",
        new="return _Loop(remaining=remaining, single=single, last=last)",
        check=_ADDRESS,
    ),
)
