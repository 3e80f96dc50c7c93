"""Mistakes where the loops around instructions run in columns."""

from tests.mutants.mutant import Mutant, suite

_ACCEL = "compiler/targets/accel"
_ORDER = suite(f"{_ACCEL}/test_loop_order.py")

MUTANTS = (
    Mutant(
        name="columns-turns-of-all-threads",
        file=f"{_ACCEL}/step.py",
        old="turn = before - np.append(before, 0)[first][stream.owner]",
        new="turn = before",
        check=_ORDER,
    ),
    Mutant(
        name="columns-yield-before-the-first-iteration",
        file=f"{_ACCEL}/step.py",
        old="later = np.flatnonzero(inner[self.name])",
        new="later = np.arange(inner.count)",
        check=_ORDER,
    ),
    Mutant(
        name="columns-leave-before-the-body",
        file=f"{_ACCEL}/step.py",
        old="return Stream.joined([enter, body, trace.events(Source(EventKind.LEAVE, number), every)])",
        new="return Stream.joined([enter, trace.events(Source(EventKind.LEAVE, number), every), body])",
        check=suite(f"{_ACCEL}/test_enumerate.py"),
    ),
    Mutant(
        name="columns-contents-of-any-extent",
        file=f"{_ACCEL}/issue.py",
        old="fields = [memories[works], allocation.shape[loads.owner], self",
        new="fields = [memories[works], self",
        check=_ORDER,
    ),
    Mutant(
        name="columns-of-the-iteration-around",
        file=f"{_ACCEL}/intrinsic/iteration.py",
        old="return self.which if self.outer is outer else self.outer.within(outer)[self.which]",
        new="return self.which if self.outer is outer else self.outer.within(outer)[: self.count]",
        check=_ORDER,
    ),
    Mutant(
        name="columns-of-another-pattern",
        file=f"{_ACCEL}/intrinsic/iteration.py",
        old="numbers = np.unique(numbers * len(values) + ranks, return_inverse=True)[1]",
        new="numbers = ranks",
        check=_ORDER,
    ),
    Mutant(
        name="columns-select-both",
        file=f"{_ACCEL}/intrinsic/affine.py",
        old="np.where(holds(rows) != 0, yes(rows), no(rows))",
        new="np.where(holds(rows) > 1, yes(rows), no(rows))",
        check=_ORDER,
    ),
    Mutant(
        name="nodes-send-what-they-keep",
        file="compiler/tir/value.py",
        old="return {name: self.__dict__[name] for name in names}",
        new="return dict(self.__dict__)",
        check=suite("compiler/tir/test_value.py"),
    ),
    Mutant(
        name="statements-made-anew",
        file="compiler/tir/simplify.py",
        old="            if simple is extent and inner is body:\n                return stmt\n",
        new="",
        check=suite("compiler/tir/test_value.py"),
    ),
    Mutant(
        name="blocks-linked-to-no-change",
        file="compiler/schedule/loop_nest.py",
        old="return new is not old and new != old",
        new="return False",
        check=suite("compiler/schedule/test_primitives.py"),
    ),
)
