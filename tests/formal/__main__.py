"""Prove everything that is proven of the gates, and show that each proof would find a mistake.

    python -m tests.formal [--only NAME ...] [--claims]

prints a table: the module, what was proven of it, how, in which time, and the seeded bugs that broke a claim.
The exit code is 1 if a proof fails. NAME is a module of hw/ or part of a proof's name.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The tests find what they share here: pytest.ini_options, pythonpath.
sys.path[:0] = [str(HERE.parent)]

from formal.proof import Proof, ProofReport, run_proof  # noqa: E402
from formal.solver import missing_tools  # noqa: E402


def proofs() -> list[Proof]:
    """Those of all test files of this folder."""
    files = sorted(path.stem for path in HERE.glob("test_*.py"))
    return [proof for file in files for proof in getattr(import_module(f"formal.{file}"), "PROOFS", ())]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if every proof holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.formal", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="these modules or proofs")
    parser.add_argument("--claims", action="store_true", help="print every claim with its source line")
    options = parser.parse_args(arguments)
    chosen = [proof for proof in proofs() if _wanted(proof, options.only)]
    if not chosen:
        parser.error(f"--only must name a module of hw/ or part of a proof's name, not {options.only}")
    if missing_tools():
        print(f"{', '.join(missing_tools())} missing: pip install 'tilewright[test]'", file=sys.stderr)
        return 1
    return _prove_all(chosen, with_claims=options.claims)


def _wanted(proof: Proof, names: Sequence[str] | None) -> bool:
    return names is None or any(name == _module(proof) or name in proof.name for name in names)


def _module(proof: Proof) -> str:
    return proof.unit.__name__.rsplit(".", 1)[-1]


def _prove_all(chosen: Sequence[Proof], *, with_claims: bool) -> int:
    failed, claims, bugs, seconds = 0, 0, 0, 0.0
    print(f"{'module':18} {'proof':46} {'method':12} {'k':>3} {'claims':>6} {'s':>5}  bugs found")
    for proof in chosen:
        try:
            report = run_proof(proof)
        except AssertionError as error:
            failed += 1
            print(f"{_module(proof):18} {proof.name:46} FAILED\n{error}")
            continue
        claims, bugs, seconds = (
            claims + len(report.claims),
            bugs + len(report.found),
            seconds + report.seconds,
        )
        _print(proof, report, with_claims=with_claims)
    held = len(chosen) - failed
    print(f"{held} proofs hold, {failed} fail; {claims} claims, {bugs} bugs found, {seconds:.0f} s")
    return 1 if failed else 0


def _print(proof: Proof, report: ProofReport, *, with_claims: bool) -> None:
    row = f"{_module(proof):18} {proof.name:46} {proof.method:12} {proof.cycles:3} {len(report.claims):6}"
    print(f"{row} {report.seconds:5.1f}  {'; '.join(report.found)}", flush=True)
    for name, broken in report.found.items():
        if with_claims:
            print(f"    bug: {name}\n         breaks: {broken}")
    if with_claims:
        print("".join(f"    {claim}\n" for claim in report.claims), end="")


if __name__ == "__main__":
    sys.exit(main())
