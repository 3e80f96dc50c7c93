"""How well a learned residual over an analytic model foretells another machine: Gemmini 16×16, as in DOSA.

    python bench/dosa.py [--table FILE.csv]

The table is `data/firesim_test_data/dataset.csv` of github.com/ucb-bar/dosa (BSD 2-Clause, Copyright 2022
Charles Hong; Hong and others, DOSA, MICRO 2023): 222 pairs of a layer and a mapping with cycles of the RTL in
FireSim, of 71 layers of BERT, ResNet-50, RetinaNet and U-Net. It does not come with the project; without it
this says so.

Each layer is held out whole: coefficients of the analytic model (`gemmini.py`) and trees are made of the
other 70. What is not held out is the form of the analytic model: it was found by looking at all rows. Errors
are |foretold − measured| / measured.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from gemmini import START, Array, Rows, fit, foretold, quantities, read
from numpy.typing import NDArray

from tilewright.cli.table import format_table
from tilewright.tune.feature import Table, based_on
from tilewright.tune.model import Boosting, CostModel, Samples
from tilewright.tune.rank import spearman

_TABLE = Path(__file__).parents[2] / "shared" / "data" / "dosa_gemmini.csv"
# Few rows: small steps, leaves of several rows, and each tree sees a part of the features.
_BOOSTING = Boosting(
    rounds=300, eta=0.05, max_depth=6, min_child_weight=3.0, reg_lambda=5.0, colsample_bytree=0.4
)


def features(rows: Rows) -> Table:
    """Sizes of layers, tiles and transfers as logarithms, without a prior."""
    columns = {name: np.log2(1 + values) for name, values in quantities(rows).items()}
    for kind, sizes in (
        ("layer", rows.problem),
        ("outer", rows.outer),
        ("tile", rows.tile),
        ("trips", rows.trips),
    ):
        columns |= {f"{kind} {name}": np.log2(values) for name, values in sizes.items()}
    of = quantities(rows)
    columns |= {
        "stride": rows.stride,
        "innermost": rows.innermost,
        "outermost": rows.outermost,
        "share of the scratchpad": np.log2((of["input bytes"] + of["weight bytes"]) / rows.scratchpad_bytes),
        "share of the accumulators": np.log2(of["result rows"] / rows.accumulator_rows),
    }
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    return Table(names=tuple(columns), values=values, prior=np.zeros(len(rows.cycles)))


def held_out(rows: Rows) -> dict[str, Array]:
    """The logarithm of the cycles of each layer, as the others foretell it: [n] by model."""
    found = {name: np.zeros(len(rows.cycles)) for name in ("analytic", "trees", "analytic + trees")}
    plain = features(rows)
    for layer in np.unique(rows.layer):
        out = rows.layer == layer
        prior = foretold(fit(rows, ~out), rows)
        found["analytic"][out] = prior[out]
        found["trees"][out] = _learned(plain, rows.cycles, out)
        found["analytic + trees"][out] = _learned(based_on(plain, "analytic", prior), rows.cycles, out)
    return found


def _learned(table: Table, cycles: Array, out: NDArray[np.bool_]) -> Array:
    samples = Samples(table=table.rows(~out), costs=cycles[~out])
    return CostModel.fit([samples], boosting=_BOOSTING).predict(table.rows(out))


def _row(name: str, cycles: Array, measured: Array) -> list[str]:
    errors = np.abs(cycles - measured) / measured
    return [name, f"{spearman(cycles, measured):.4f}", f"{errors.mean():.1%}", f"{np.median(errors):.1%}"]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, default=_TABLE)
    options = parser.parse_args()
    if not options.table.is_file():
        print(
            f"skipped: {options.table} is missing; it is data/firesim_test_data/dataset.csv of ucb-bar/dosa"
        )
        sys.exit()
    rows = read(options.table)
    found = held_out(rows)
    table = [_row("DOSA, analytic (theirs)", rows.own_cycles, rows.cycles)]
    table += [_row(name, np.exp(values), rows.cycles) for name, values in found.items()]
    print(f"{len(rows.cycles)} rows, {rows.layer.max() + 1} layers, each held out; {len(START)} coefficients")
    print(format_table(["model", "Spearman", "mean error", "median error"], table))


if __name__ == "__main__":
    main()
