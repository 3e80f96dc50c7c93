"""Mistakes in how schedules are searched for."""

from tests.mutants.mutant import Mutant, suite

_PRIOR = suite("tune/search/test_prior.py")

MUTANTS = (
    Mutant(
        name="prior-ties-hide-what-is-behind",
        file="tune/search/prior.py",
        old='found: NDArray[np.int64] = order[np.argsort(turns, kind="stable")]',
        new='found: NDArray[np.int64] = order[np.argsort(turns * 0, kind="stable")]',
        check=_PRIOR,
    ),
    Mutant(
        name="prior-refines-what-the-estimate-likes-alone",
        file="tune/search/prior.py",
        old="for _ in range(_REFINED_GENERATIONS if len(pool) else 0):",
        new="for _ in range(0):",
        check=_PRIOR,
    ),
    Mutant(
        name="prior-refines-too-many",
        file="tune/search/prior.py",
        old="_AT_FIRST // _REFINED_GENERATIONS",
        new="_AT_FIRST",
        check=_PRIOR,
    ),
)
