"""How many points each search measures until it has 95 and 99 % of the best speed, where all costs are known.

    python bench/search.py [--trials 400] [--seeds 10] [--batch 16] [FILE.npz …]

Medians and quartiles over the seeds; – where it was not reached. `landscape.py` says what is in a file;
without one the landscapes are made up. `without prior` is the search by models where the machine's own models
are taken away. The rank is the Spearman correlation of what was foretold of a batch with what was measured
then, the median of all batches but the first.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from landscape import Landscape, made_up, read

from tilewright.cli.table import format_table
from tilewright.tune.harness import Budget, Trace, over_seeds, quartiles, trials_to
from tilewright.tune.search.annealing import AnnealingSearch
from tilewright.tune.search.genetic import GeneticSearch
from tilewright.tune.search.guided import GuidedSearch
from tilewright.tune.search.plain import GridSearch, RandomSearch
from tilewright.tune.search.prior import PriorSearch
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

_SHARES = (0.95, 0.99)


def _without_prior(task: Task, seed: int) -> Search:
    return GuidedSearch(replace(task, estimate=None, refine=None), seed)


def _without_refinement(task: Task, seed: int) -> Search:
    return GuidedSearch(replace(task, refine=None), seed)


SEARCHES: Mapping[str, Callable[[Task, int], Search]] = {
    "random": RandomSearch,
    "grid": GridSearch,
    "genetic": GeneticSearch,
    "annealing": AnnealingSearch,
    "prior alone": PriorSearch,
    "models without prior": _without_prior,
    "models over the estimate": _without_refinement,
    "models over the refinement": GuidedSearch,
}


def _searches(task: Task) -> list[str]:
    """Those that differ from each other on a task."""
    known = task.estimate is not None or task.refine is not None
    left_out = {"prior alone": not known, "models over the estimate": task.estimate is None}
    left_out["models over the refinement"] = task.refine is None
    return [name for name in SEARCHES if not left_out.get(name)]


def _row(name: str, traces: list[Trace], best: float) -> list[str]:
    reached = [str(quartiles([trials_to(trace, share, best) for trace in traces])) for share in _SHARES]
    share = median(best / trace.best[-1] for trace in traces)
    refused = np.mean([np.isinf(trace.costs).mean() for trace in traces])
    ranks = [rank for trace in traces for rank in trace.rank[1:] if rank is not None]
    rank = f"{median(ranks):.2f}" if ranks else "–"
    return [name, *reached, f"{share:.2%}", f"{refused:.0%}", rank]


def report(landscape: Landscape, budget: Budget, seeds: int, batch: int) -> str:
    """The table of one landscape."""
    costs, best = landscape.costs, landscape.best
    rows = [
        _row(
            name,
            over_seeds(
                lambda seed, make=SEARCHES[name]: make(landscape.task, seed),
                landscape.measure,
                budget,
                seeds=range(seeds),
                batch=batch,
            ),
            best,
        )
        for name in _searches(landscape.task)
    ]
    finite = costs[np.isfinite(costs)]
    head = (
        f"{landscape.task.key}: {len(costs)} points, {1 - len(finite) / len(costs):.0%} refused, "
        f"{np.mean(costs <= best / 0.99):.2%} within 99 %, median / best {np.median(finite) / best:.1f}"
    )
    return head + "\n" + format_table(["search", "to 95 %", "to 99 %", "end", "refused", "rank"], rows)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.npz")
    options = parser.parse_args()
    landscapes = [read(path) for path in options.files] or [made_up(56, 56, 64), made_up(14, 14, 64)]
    for landscape in landscapes:
        print(report(landscape, Budget(trials=options.trials), options.seeds, options.batch), flush=True)
        print()


if __name__ == "__main__":
    main()
