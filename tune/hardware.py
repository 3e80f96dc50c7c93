"""The search for machines: proposals of Optuna or at random, each with an objective; resumed from a journal.

Most machines are not a sampler's: walks that take slack from the first and from the fastest machine, and
neighbours of the front, steps of some sizes from a machine that nothing beats yet. What no machine can be,
or the board has no room for, is rejected before anything is computed of its cost, and does not count as a
call; Optuna is told of it as a point that breaks a constraint. A seed decides all.
"""

import enum
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tilewright.isa.config import Config, ConfigError
from tilewright.isa.error import TilewrightError
from tilewright.tune.area import Area
from tilewright.tune.budget import Board
from tilewright.tune.error import TuneError
from tilewright.tune.evaluated import AreaForm, Costs, Evaluated, Objective
from tilewright.tune.hardware_space import HardwareSpace, shares_of
from tilewright.tune.slack import Slack


class Turn(enum.Enum):
    """Who proposes the next machine."""

    SAMPLER = "Optuna"
    NEIGHBOUR = "steps from the front"
    FIRST = "the first machine with less slack"
    FASTEST = "the fastest machine with less slack"


SAMPLERS = ("tpe", "nsga", "random")
OBJECTIVES = ("latency", "lut", "bram")
"""What is made least: cycles in the geometric mean, shares of the board's tables and block RAMs."""
_FIRST = 8
"""Machines before the first proposal of a sampler: the base, its other arrays, and random ones."""
SLOWEST = 2.0
"""The cycles from which a machine is of no interest, of those of the first one."""
_NO_SLOWER = 0.6
"""Chance that the neighbour is one of a machine that is no slower than the first: what has to be beaten."""
_FEW, _NEAR, _SHRINKS = 0.5, 0.6, 0.8
"""Chances that a neighbour differs in no further size, and by no further step; that it is smaller instead."""
_TURNS = (Turn.SAMPLER, Turn.FIRST, Turn.FASTEST, Turn.NEIGHBOUR, Turn.FIRST, Turn.FASTEST)
_PATIENCE = 60
"""Proposals in a row that bring nothing new until one is drawn at random."""
_POPULATION = 24
_NAME = "machines"


class HardwareStudy:
    """A search in a space of machines for one board.

    Members:
        space, board: what is searched, for which board.
        evaluated: in their order, those of the journal first.

    Args:
        space: whose base is looked at first.
        objective: the costs of a machine, called once for each.
        area: the form of the board's family.
        board: that machines must fit.
        sampler: one of `SAMPLERS`.
        seed: of all that is drawn.
        journal: a file to which each machine is added, and from which a study goes on; JSON lines.

    Raises:
        TuneError: if Optuna is missing, the base does not fit, or the journal is of another search.
    """

    def __init__(
        self,
        space: HardwareSpace,
        objective: Objective,
        area: AreaForm,
        board: Board,
        *,
        sampler: str = SAMPLERS[0],
        seed: int = 0,
        journal: Path | None = None,
    ) -> None:
        if sampler not in SAMPLERS:
            raise TuneError(f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")
        self.space, self.board = space, board
        self._objective, self._area = objective, area
        lacks = list(board.lacks(space.base, area.area(space.base)))
        if lacks:
            raise TuneError(f"the machine to begin with must fit the board: {'; '.join(lacks)}")
        self._rng = np.random.default_rng(seed)
        self._known: dict[Config, Evaluated] = {}
        self._slack = Slack(space=space, area=area, board=board)
        self._optuna = _optuna()
        self._study = self._opened(sampler, seed, journal)
        self._is_random = sampler == "random"
        self._distributions = {
            name: self._optuna.distributions.IntDistribution(0, len(values) - 1)
            for name, values in space.choices.items()
        }
        self._resume()

    @property
    def evaluated(self) -> tuple[Evaluated, ...]:
        """All machines that were looked at."""
        return tuple(self._known.values())

    def run(self, calls: int) -> Iterator[Evaluated]:
        """Look at machines until there are `calls` of them, each as it is found."""
        while len(self._known) < calls:
            trial, config = self._proposal()
            yield self._evaluate(trial, config)

    def importance(self) -> dict[str, dict[str, float]]:
        """By objective how much each size decides whether a machine is among the better ones, most first.

        By PED-ANOVA (Watanabe et al., 2023); shares of 1. Empty until machines differ.
        """
        evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
        if sum(each.costs is not None for each in self._known.values()) < _FIRST:
            return {}
        with warnings.catch_warnings():
            # That it looks at what makes targets small, as is wanted here.
            warnings.simplefilter("ignore", UserWarning)
            return {
                objective: self._optuna.importance.get_param_importances(
                    self._study, evaluator=evaluator, target=lambda trial, place=place: trial.values[place]
                )
                for place, objective in enumerate(OBJECTIVES)
            }

    # --- proposals -----------------------------------------------------------------------------------------

    def _proposal(self) -> tuple[Any, Config]:
        """The next machine that is new and fits."""
        if not self._known:
            return self._asked(self.space.base)
        config = None
        if self._is_random or len(self._known) < _FIRST:
            config = next(filter(self._is_new, self._begins_with()), None) or self._drawn()
        else:
            turn = _TURNS[len(self._known) % len(_TURNS)]
            config = None if turn is Turn.SAMPLER else self._leaner(turn) or self._neighbour()
        for _ in range(_PATIENCE if config is None else 0):
            trial = self._study.ask(self._distributions)
            proposed = self._new(trial)
            if proposed is not None:
                return trial, proposed
        return self._asked(config or self._drawn())

    def _begins_with(self) -> Iterator[Config]:
        """What is looked at behind the base, before anything random."""
        if self._is_random:
            return
        windowed = self.space.windowed()
        if windowed is not None:
            yield windowed
        yield from self.space.arrays()

    def _leaner(self, turn: Turn) -> Config | None:
        """The next machine on the walk from the first or the fastest machine; None if there is none.

        A sliding window makes light networks faster than the first machine: then the walk begins with it, and
        what the window gains is taken out of the memory.
        """
        if turn is Turn.FASTEST:
            fastest = sorted(self._best(), key=self._values)[:1]
            return next((self._slack.next(root, self._known) for root in fastest), None)
        if turn is not Turn.FIRST:
            return None
        first, start = self._first, self.space.windowed()
        windowed = self._known.get(start) if start is not None else None
        found = None
        if windowed is not None and windowed.is_as_fast_as(first):
            found = self._slack.next(first, self._known, start=start, kept=("vector_taps",))
        return found or self._slack.next(first, self._known)

    @property
    def _first(self) -> Evaluated:
        return next(iter(self._known.values()))

    def _neighbour(self) -> Config | None:
        """A machine some steps of some sizes beside one of the front; None if none is new and fits."""
        best = self._best()
        no_slower = [each for each in best if each.is_as_fast_as(self._first)]
        for _ in range(_PATIENCE if best else 0):
            near = no_slower if no_slower and self._rng.random() < _NO_SLOWER else best
            places = self.space.places(near[int(self._rng.integers(len(near)))].config)
            config = self._valid(places | self._stepped(places))
            if config is not None and self._is_new(config):
                return config
        return None

    def _stepped(self, places: Mapping[str, int]) -> dict[str, int]:
        """New places of some sizes: a few of them anywhere near, or many of them a step smaller."""
        names, rng = self.space.names, self._rng
        if rng.random() < _SHRINKS:
            share = rng.random()
            chosen = [name for name in names if rng.random() < share]
            return {name: max(places[name] - 1, 0) for name in chosen}
        count = min(len(names), int(rng.geometric(_FEW)))
        steps = {
            name: int(rng.geometric(_NEAR)) * int(rng.choice((-1, 1)))
            for name in rng.choice(names, count, replace=False).tolist()
        }
        return {
            name: min(max(places[name] + step, 0), len(self.space.choices[name]) - 1)
            for name, step in steps.items()
        }

    def _best(self) -> list[Evaluated]:
        """The front so far, of machines that are fast enough."""
        known = [each for each in self._known.values() if each.costs and self._slowness(each.costs) <= 0]
        values = np.array([self._values(each) for each in known]).reshape(-1, len(OBJECTIVES))
        no_worse = (values[:, None] <= values[None]).all(axis=2)
        better = (values[:, None] < values[None]).any(axis=2)
        return [known[place] for place in np.flatnonzero(~(no_worse & better).any(axis=0))]

    def _slowness(self, costs: Costs | None) -> float:
        """Above 0 where a machine is too slow to be of interest."""
        first = self._first.costs
        return costs.latency / (SLOWEST * first.latency) - 1 if first and costs else 0.0

    def _values(self, found: Evaluated) -> tuple[float, ...]:
        shares = shares_of(found.area, self.board)
        return (found.costs.latency if found.costs else math.inf, shares["lut"], shares["bram"])

    def _valid(self, places: Mapping[str, int]) -> Config | None:
        try:
            return self.space.config(places)
        except ConfigError:
            return None

    def _is_new(self, config: Config) -> bool:
        """Whether it was not looked at, and fits."""
        return config not in self._known and not list(self.board.lacks(config, self._area.area(config)))

    def _drawn(self) -> Config:
        for _ in range(_PATIENCE**2):
            config = self.space.draw(self._rng)
            if self._is_new(config):
                return config
        raise TuneError(
            f"no further machine was found that fits the board, behind {len(self._known)} of them"
        )

    def _asked(self, config: Config) -> tuple[Any, Config]:
        """A trial for a machine that was not proposed by the sampler; or one that waits in the journal."""
        self._study.enqueue_trial(self.space.places(config))
        trial = self._study.ask(self._distributions)
        return trial, self.space.config(trial.params)

    def _new(self, trial: Any) -> Config | None:
        """The machine of a trial, if it is new and fits; else the sampler is told."""
        state = self._optuna.trial.TrialState
        config = self._valid(trial.params)
        if config is None:
            trial.set_constraint("machine", 1.0)
            self._study.tell(trial, state=state.PRUNED)
            return None
        if config in self._known:
            self._study.tell(trial, state=state.FAIL)
            return None
        area = self._area.area(config)
        if list(self.board.lacks(config, area)):
            self._constrain(trial, area)
            self._study.tell(trial, state=state.PRUNED)
            return None
        return config

    def _constrain(self, trial: Any, area: Area) -> None:
        for name, share in shares_of(area, self.board).items():
            trial.set_constraint(name, share - 1)

    # --- costs ---------------------------------------------------------------------------------------------

    def _evaluate(self, trial: Any, config: Config) -> Evaluated:
        area = self._area.area(config)
        try:
            found = Evaluated(config=config, area=area, costs=self._objective(config))
        except TilewrightError as error:
            found = Evaluated(config=config, area=area, costs=None, refusal=str(error).splitlines()[0])
        self._known[config] = found
        self._tell(trial, found)
        return found

    def _tell(self, trial: Any, found: Evaluated) -> None:
        trial.set_user_attr("refusal", found.refusal)
        self._constrain(trial, found.area)
        if found.costs is None:
            trial.set_constraint("network", 1.0)
            self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)
            return
        trial.set_user_attr("cycles", dict(found.costs.cycles))
        trial.set_user_attr("moved_bytes", dict(found.costs.moved_bytes))
        trial.set_constraint("latency", self._slowness(found.costs))
        self._study.tell(trial, self._values(found))

    # --- the journal ---------------------------------------------------------------------------------------

    def _opened(self, sampler: str, seed: int, journal: Path | None) -> Any:
        optuna = self._optuna
        backend = optuna.storages.journal
        if journal is not None:
            storage = optuna.storages.JournalStorage(backend.JournalFileBackend(str(journal)))
        else:
            storage = optuna.storages.InMemoryStorage()
        samplers = optuna.samplers
        made = {
            # The first machines are drawn here, so that each of them fits.
            "tpe": lambda: samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=1),
            "nsga": lambda: samplers.NSGAIISampler(seed=seed, population_size=_POPULATION),
            "random": lambda: samplers.RandomSampler(seed=seed),
        }
        return optuna.create_study(
            storage=storage,
            study_name=_NAME,
            sampler=made[sampler](),
            directions=["minimize"] * len(OBJECTIVES),
            load_if_exists=True,
        )

    def _resume(self) -> None:
        """Take over what the journal has; refuse another space's."""
        own = json.dumps(
            {
                "base": self.space.base.to_toml(),
                "choices": {k: list(v) for k, v in self.space.choices.items()},
            }
        )
        found = self._study.user_attrs.setdefault("space", own) if self._study.trials else own
        if found != own:
            raise TuneError(
                "the journal must be of this search, not of another base or other choices: name another"
            )
        self._study.set_user_attr("space", own)
        for trial in self._study.get_trials(deepcopy=False):
            if "refusal" in trial.user_attrs:
                config = self.space.config(trial.params)
                self._known[config] = self._read(config, trial.user_attrs)

    def _read(self, config: Config, told: Mapping[str, Any]) -> Evaluated:
        costs = Costs(cycles=told["cycles"], moved_bytes=told["moved_bytes"]) if "cycles" in told else None
        return Evaluated(config=config, area=self._area.area(config), costs=costs, refusal=told["refusal"])


def _optuna() -> ModuleType:
    """Raises TuneError with the remedy where it is missing."""
    try:
        import optuna
    except ImportError:
        raise TuneError("the search for machines needs Optuna: pip install 'tilewright[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
