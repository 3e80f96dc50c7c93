"""Random programs on random machines, the simulator's events against the stepped machine's.

    python -m tests.stepped.fuzz --seed 1 --programs 1000

runs the trials of consecutive seeds; the first that differs is named, and the exit code is then 1.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.stepped.trial import draw_trial, ending, simulated, stepped

_PROGRESS_SECONDS = 30


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if everything was equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.stepped.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial")
    parser.add_argument("--programs", type=int, default=1000, help="trials to run")
    options = parser.parse_args(arguments)
    endings: Counter[str] = Counter()
    shown = time.monotonic()
    for seed in range(options.seed, options.seed + options.programs):
        trial = draw_trial(seed)
        expected = stepped(trial)
        if simulated(trial) != expected:
            print(f"seed {seed} differs: {trial}")
            return 1
        endings[ending(expected)] += 1
        endings["large machines"] += trial.config.cols > 16 or trial.config.burst_bytes > 1024
        if time.monotonic() > shown + _PROGRESS_SECONDS:
            shown = time.monotonic()
            print(_progress(endings, seed + 1 - options.seed), file=sys.stderr)
    print(_progress(endings, options.programs))
    return 0


def _progress(endings: Counter[str], count: int) -> str:
    shown = ", ".join(f"{name} {number}" for name, number in sorted(endings.items()))
    return f"{count} programs equal ({shown})"


if __name__ == "__main__":
    sys.exit(main())
