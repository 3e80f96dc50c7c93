"""What holds for every test."""

import os

from hypothesis import Phase, settings

# Else a yosys on PATH would be taken silently.
os.environ["AMARANTH_USE_YOSYS"] = "builtin"

# No deadline: compiled code is slow the first time only. The suite must give the same answer twice; new
# examples are looked for by `make fuzz`.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("fuzz", deadline=None, max_examples=2000, print_blob=True)
# Of a mistake it is enough to know that it is found.
settings.register_profile(
    "mutants", deadline=None, derandomize=True, database=None, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("suite")
