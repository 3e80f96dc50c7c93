"""Mistakes in tensor expressions, loop programs and their schedules."""

from tests.mutants.mutant import Mutant, suite

_HYBRID = suite("compiler/te/test_hybrid.py")
_PROCEDURE = suite("compiler/tir/test_procedure.py")
_FUZZED = suite("compiler/schedule/test_fuzzed.py")
_TUPLE = suite("compiler/schedule/test_tuple.py")
_REFUSAL = suite("compiler/schedule/test_refusal.py")
_REDUCTION = suite("compiler/schedule/test_reduction.py")
_PRIMITIVES = suite("compiler/schedule/test_primitives.py")
_TEXT = suite("compiler/schedule/test_text.py")
_PIPELINE = suite("compiler/schedule/test_pipeline.py")
_SPLIT_SELECT = suite("compiler/schedule/test_split_select.py")

_PYTHON = (
    Mutant(
        name="hybrid-comparison-turned",
        file="compiler/te/irregular/expression.py",
        old="ast.Gt: (BinaryOp.LT, True)",
        new="ast.Gt: (BinaryOp.LT, False)",
        check=_HYBRID,
    ),
    Mutant(
        name="hybrid-condition-of-statements",
        file="compiler/te/irregular/statement.py",
        old="leave = IfThenElse(Select(condition, _NO, _YES), Break())",
        new="leave = IfThenElse(condition, Break())",
        check=_HYBRID,
    ),
    Mutant(
        name="hybrid-swap-in-turns",
        file="compiler/te/irregular/statement.py",
        old='kept = [self.program.pinned(part, "kept") for part in parts]',
        new="kept = list(parts)",
        check=_HYBRID,
    ),
    Mutant(
        name="hybrid-falling-range",
        file="compiler/te/irregular/statement.py",
        old="trips = stop - start if step > 0 else start - stop",
        new="trips = stop - start",
        check=_HYBRID,
    ),
    Mutant(
        name="hybrid-break-in-a-split-loop",
        file="compiler/schedule/split.py",
        old="check_whole(self, function, loop)",
        new="pass",
        check=_REFUSAL,
    ),
    Mutant(
        name="interpreter-continue-leaves",
        file="compiler/tir/interpret.py",
        old="        except _Continue:\n            return True",
        new="        except _Continue:\n            return False",
        check=_PROCEDURE,
    ),
    Mutant(
        name="host-without-else",
        file="compiler/targets/cpu/procedure.py",
        old="self._body(stmt.otherwise, end)",
        new="builder.branch(end)",
        check=suite("compiler/targets/cpu/test_procedure.py"),
    ),
    Mutant(
        name="flow-outside-of-procedures",
        file="compiler/tir/verify.py",
        old='_require(self.procedure is not None, "{} must be in a procedure',
        new='_require(True, "{} must be in a procedure',
        check=_PROCEDURE,
    ),
)

_STEPS = (
    Mutant(
        name="attached-beyond-its-own-loop",
        file="compiler/schedule/compute_at.py",
        old="item if whole else clipped(",
        new="item if True else clipped(",
        check=_FUZZED,
    ),
    Mutant(
        name="attached-behind-all-that-is-there",
        file="compiler/schedule/reverse_compute_at.py",
        old="if lower(before, around) < 0 or upper(behind, {**around, **own}) > 0:",
        new="if lower(before, around) < 0:",
        check=_FUZZED,
    ),
    Mutant(
        name="attached-for-the-first-output",
        file="compiler/schedule/compute_at.py",
        old="{buffer.name for buffer in buffers}",
        new="{buffers[0].name}",
        check=_TUPLE,
    ),
    Mutant(
        name="inlined-first-output",
        file="compiler/schedule/inline.py",
        old="{store.buffer.name: store.value for store in block.stores}",
        new="{store.buffer.name: block.body.value for store in block.stores}",
        check=_TUPLE,
    ),
    Mutant(
        name="copied-first-output",
        file="compiler/schedule/cache_write.py",
        old="*zip(own, targets, strict=True))",
        new="(own[0], targets[0]))",
        check=_TUPLE,
    ),
    Mutant(
        name="outputs-at-different-elements",
        file="compiler/schedule/loop_nest.py",
        old="if store.indices != block.body.indices or",
        new="if",
        check=_TUPLE,
    ),
    Mutant(
        name="reordered-around-a-scan",
        file="compiler/schedule/reorder.py",
        old="if ordered and before != after:",
        new="if ordered and len(before) > len(after):",
        check=_REDUCTION,
    ),
    Mutant(
        name="consumer-before-what-it-reads",
        file="compiler/schedule/reverse_inline.py",
        old="            if user is not block:",
        new="            if user is None:",
        check=_REFUSAL,
    ),
    Mutant(
        name="fused-quotient",
        file="compiler/schedule/fuse.py",
        old="fused // count",
        new="fused // (count + 1)",
        check=_PRIMITIVES,
    ),
    Mutant(
        name="partial-results-of-one-part",
        file="compiler/schedule/r_factor.py",
        old="(Const(size), *store.buffer.shape)",
        new="(Const(1), *store.buffer.shape)",
        check=_REDUCTION,
    ),
    Mutant(
        name="column-of-a-mistake",
        file="compiler/schedule/text.py",
        old="match.start() + 1",
        new="match.start()",
        check=_TEXT,
    ),
)

_CHAINS = (
    Mutant(
        name="select-inside-from-its-first-index",
        file="compiler/schedule/split_select.py",
        old="Var(name) + span.low",
        new="Var(name) + 0",
        check=_SPLIT_SELECT,
    ),
    Mutant(
        name="select-upper-end-of-the-inside",
        file="compiler/schedule/split_select.py",
        old="(rest + Affine((), 1)).expr()",
        new="rest.expr()",
        check=_SPLIT_SELECT,
    ),
    Mutant(
        name="select-filled-where-only-one-side-is-outside",
        file="compiler/schedule/split_select.py",
        old="reduce(lambda a, b: a + b, missing)",
        new="reduce(lambda a, b: a * b, missing)",
        check=_SPLIT_SELECT,
    ),
    Mutant(
        name="pipeline-of-stages-that-need-each-other",
        file="compiler/schedule/pipeline.py",
        old="if one > other:",
        new="if one < other:",
        check=_PIPELINE,
    ),
    Mutant(
        name="pipeline-over-shared-buffers",
        file="compiler/schedule/pipeline.py",
        old="if name not in own:",
        new="if name not in shared:",
        check=_REFUSAL,
    ),
    Mutant(
        name="pipeline-changed-afterwards",
        file="compiler/schedule/__init__.py",
        old="    check_pipelines(result)\n",
        new="",
        check=_PIPELINE,
    ),
    Mutant(
        name="pipeline-of-one-step-less",
        file="compiler/tir/interpret.py",
        old="IssuePlace(0, self._step + offset, position)",
        new="IssuePlace(0, self._step, position)",
        check=_PIPELINE,
    ),
    Mutant(
        name="pipeline-drained-too-early",
        file="compiler/tir/issue_order.py",
        old="step - 1 + drain, inf",
        new="step - 1, inf",
        check=_PIPELINE,
    ),
)

MUTANTS = (*_PYTHON, *_STEPS, *_CHAINS)
"""From Python functions to scheduled loops."""
