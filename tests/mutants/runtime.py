"""Mistakes in what runs programs and shows where their time goes."""

from tests.mutants.mutant import Mutant, suite

_BUILD = suite("compiler/targets/accel/test_build.py")
_ABLATION = suite("runtime/test_ablation.py")
_TIMELINE = suite("runtime/test_timeline_text.py")
_COMMAND = suite("cli/test_run_ablation.py")
_TUTORIAL = suite("test_tutorial.py")

MUTANTS = (
    Mutant(
        name="build-outputs-from-the-inputs",
        file="compiler/targets/accel/build.py",
        old="enumerate(self.function.parameters[first:], first)",
        new="enumerate(self.function.parameters[first:])",
        check=_BUILD,
    ),
    Mutant(
        name="build-forgets-what-lies-between",
        file="compiler/targets/accel/build.py",
        old="found = (*function.parameters, *between)",
        new="found = function.parameters",
        check=_BUILD,
    ),
    Mutant(
        name="build-between-inside-of-loops",
        file="compiler/targets/accel/build.py",
        old="if loop is not None:",
        new="if loop is stmt:",
        check=_BUILD,
    ),
    Mutant(
        name="build-any-shape",
        file="compiler/targets/accel/build.py",
        old=" or array.shape != _shape(buffer)",
        new="",
        check=_BUILD,
    ),
    Mutant(
        name="ablation-gives-no-tokens",
        file="runtime/ablation.py",
        old="wait=instruction.wait, signal=instruction.signal)",
        new="wait=instruction.wait)",
        check=_ABLATION,
    ),
    Mutant(
        name="ablation-takes-no-tokens",
        file="runtime/ablation.py",
        old="wait=instruction.wait, signal=instruction.signal)",
        new="signal=instruction.signal)",
        check=_ABLATION,
    ),
    Mutant(
        name="ablation-on-the-first-engine",
        file="runtime/ablation.py",
        old="Nop(runs_on=engine, ",
        new="Nop(",
        check=_ABLATION,
    ),
    Mutant(
        name="ablation-dma-without-stores",
        file="runtime/ablation.py",
        old='"dma": frozenset({Engine.LOAD, Engine.STORE}),',
        new='"dma": frozenset({Engine.LOAD}),',
        check=_ABLATION,
    ),
    Mutant(
        name="ablation-without-memory-behind-bases",
        file="runtime/ablation.py",
        old="{**blank, **regions}",
        new="regions",
        check=_ABLATION,
    ),
    Mutant(
        name="ablation-one-unit-only",
        file="cli/run_ablation.py",
        old="for unit in units:",
        new="for unit in units[:1]:",
        check=_COMMAND,
    ),
    Mutant(
        name="timeline-spans-end-late",
        file="runtime/engine_time.py",
        old="np.maximum(self.end[opened - 1] - edges, 0), 0)",
        new="np.maximum(self.end[opened - 1] - edges - 1, 0), 0)",
        check=_TIMELINE,
    ),
    Mutant(
        name="timeline-misses-the-finish",
        file="runtime/engine_time.py",
        old="heads.finish[flown] + 1)",
        new="heads.finish[flown])",
        check=_TIMELINE,
    ),
    Mutant(
        name="timeline-all-waits-for-tokens",
        file="runtime/engine_time.py",
        old="np.minimum(heads.tokens_ready, heads.start)",
        new="heads.start",
        check=_TIMELINE,
    ),
    Mutant(
        name="timeline-window-from-zero",
        file="runtime/timeline_text.py",
        old="np.arange(first, end + step, step)",
        new="np.arange(0, end - first + step, step)",
        check=_TIMELINE,
    ),
    Mutant(
        name="timeline-wider-than-the-terminal",
        file="runtime/timeline_text.py",
        old="most = width - _LABEL - _SHARE",
        new="most = width - _LABEL",
        check=_TIMELINE,
    ),
    Mutant(
        name="tutorial-another-number",
        file="docs/tutorial.md",
        old="memory       vector     banks  vectors in a bank",
        new="memory       vector     banks  vectors in a bang",
        check=_TUTORIAL,
    ),
    Mutant(
        name="tutorial-another-schedule",
        file="examples/tutorial/matmul.py",
        old="LARGER = tiles(rows=32, blocks=8)",
        new="LARGER = tiles(rows=32, blocks=7)",
        check=_TUTORIAL,
    ),
)
"""Of programs, not of models, which the compiler's mutants have."""
