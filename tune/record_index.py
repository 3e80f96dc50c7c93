"""Records in memory: what is known of a point, and which is the best."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from tilewright.compiler.space.point import Point
from tilewright.tune.outcome import Outcome
from tilewright.tune.program_record import ProgramRecord
from tilewright.tune.record import Key, Record
from tilewright.tune.record_line import AnyRecord


class Records:
    """Of each key and point one outcome, the first that is final or else the last; of a program the last.

    Args:
        records: to begin with.
    """

    def __init__(self, records: Iterable[AnyRecord] = ()) -> None:
        self._programs: dict[Key, ProgramRecord] = {}
        self._outcomes: dict[Key, dict[Point, Outcome]] = {}
        self._best: dict[Key, Record] = {}
        for record in records:
            self.add(record)

    def add(self, record: AnyRecord) -> bool:
        """Take a record in; false if a final outcome of its point was known, which then stays."""
        if isinstance(record, ProgramRecord):
            self._programs[record.key] = record
            return True
        outcomes = self._outcomes.setdefault(record.key, {})
        if self.known(record.key, record.point) is not None:
            return False
        outcomes[record.point] = record.outcome
        cost, best = record.outcome.cost, self._best.get(record.key)
        if cost is not None and (best is None or best.outcome.cost is None or cost < best.outcome.cost):
            self._best[record.key] = record
        return True

    def program(self, key: Key) -> ProgramRecord | None:
        """The last record of a program: who measures goes on from the one before; None if there is none."""
        return self._programs.get(key)

    def known(self, key: Key, point: Point) -> Outcome | None:
        """The outcome of a point that need not be measured again; None if it must."""
        outcome = self._outcomes.get(key, {}).get(point)
        return outcome if outcome is not None and outcome.is_final else None

    def outcomes(self, key: Key) -> Mapping[Point, Outcome]:
        """All outcomes under a key, in the order in which their points first came."""
        return MappingProxyType(self._outcomes.get(key, {}))

    def best(self, key: Key) -> Record | None:
        """The right answer of least cost, the first of equals; None if there is none."""
        return self._best.get(key)

    def keys(self) -> Iterable[Key]:
        """Of which there are records."""
        return [*self._outcomes, *self._programs]

    def __len__(self) -> int:
        return sum(map(len, self._outcomes.values())) + len(self._programs)

    def __iter__(self) -> Iterator[AnyRecord]:
        yield from self._programs.values()
        for key, outcomes in self._outcomes.items():
            for point, outcome in outcomes.items():
                yield Record(key=key, point=point, outcome=outcome)
