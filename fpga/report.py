"""What the router says, in words: clock, cells used, and the path that bounds the clock."""

from dataclasses import asdict, dataclass
from typing import Any

RESOURCES = {
    "LUT4": "TRELLIS_COMB",
    "FF": "TRELLIS_FF",
    "DSP": "MULT18X18D",
    "EBR": "DP16KD",
    "LUT RAM": "TRELLIS_RAMW",
}
"""What a designer counts, and the router's name of it; carries count as look-up tables."""

_STEPS = {"clk-to-q": "leaves", "logic": "through", "routing": "wire to", "setup": "arrives at"}


@dataclass(frozen=True, kw_only=True)
class CellUse:
    """Cells of one kind: used, and on the device."""

    used: int
    available: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """A part of a path: what kind it is of, how long it takes, where it ends."""

    kind: str
    delay_ns: float
    name: str


@dataclass(frozen=True, kw_only=True)
class Path:
    """The longest path between two registers of one clock."""

    steps: tuple[Step, ...]

    @property
    def delay_ns(self) -> float:
        """All of it, setup included."""
        return sum(step.delay_ns for step in self.steps)

    def spent_ns(self, kind: str) -> float:
        """The part of it that steps of one kind take."""
        return sum(step.delay_ns for step in self.steps if step.kind == kind)


@dataclass(frozen=True, kw_only=True)
class RouteReport:
    """What was reached.

    Members:
        achieved_mhz, target_mhz: the clock.
        uses: by the names of RESOURCES.
        path: what bounds the clock.
    """

    achieved_mhz: float
    target_mhz: float
    uses: dict[str, CellUse]
    path: Path

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    def table(self) -> str:
        """The same as lines of text."""
        lines = [f"clock    {self.achieved_mhz:.1f} MHz (target {self.target_mhz:.1f} MHz)"]
        for name, use in self.uses.items():
            share = 100 * use.used / use.available
            lines.append(f"{name:<8} {use.used:6} of {use.available:6} ({share:.0f} %)")
        lines.append(_path_summary(self.path))
        lines += [f"  {step.delay_ns:5.2f} ns  {_STEPS[step.kind]} {step.name}" for step in self.path.steps]
        return "\n".join(lines)


def _path_summary(path: Path) -> str:
    levels = sum(step.kind == "logic" for step in path.steps)
    wires, total = path.spent_ns("routing"), path.delay_ns
    return f"critical {total:.2f} ns, of which wires {wires:.2f} ns, through {levels} cells of logic"


def parse_report(raw: dict[str, Any]) -> RouteReport:
    """The report of nextpnr about a design of one clock.

    Raises:
        ValueError: it has no clock or several.
    """
    clocks = list(raw["fmax"].values())
    if len(clocks) != 1:
        raise ValueError(f"report must have exactly one clock, not {sorted(raw['fmax'])}")
    counts = raw["utilization"]
    return RouteReport(
        achieved_mhz=float(clocks[0]["achieved"]),
        target_mhz=float(clocks[0]["constraint"]),
        uses={
            name: CellUse(used=int(counts[kind]["used"]), available=int(counts[kind]["available"]))
            for name, kind in RESOURCES.items()
            if kind in counts
        },
        path=Path(steps=tuple(_step(entry) for entry in _longest(raw["critical_paths"]))),
    )


def _longest(paths: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries of the longest path from a register to a register."""
    inside = [path["path"] for path in paths if "posedge" in path["from"] and "posedge" in path["to"]]
    return max(inside, key=lambda entries: sum(entry["delay"] for entry in entries), default=[])


def _step(entry: dict[str, Any]) -> Step:
    return Step(
        kind=str(entry["type"]), delay_ns=float(entry["delay"]), name=source_name(entry["to"]["cell"])
    )


_CELLS = {
    "LUT4": "LUT",
    "PFUMX": "LUT",
    "L6MUX21": "LUT",
    "TRELLIS": "FF",
    "CCU2C": "carry",
    "MULT18X18D": "DSP",
    "DP16KD": "EBR",
    "PDPW16KD": "EBR",
}
"""What synthesis appends to a name, and what it means."""


def source_name(cell: str) -> str:
    """A cell's name as the source has it, and what it is.

    Synthesis names a cell after the nearest net that has a name, and appends the way to it from there.
    """
    words = cell.removeprefix("unit.").split("_")
    appended = [place for place, word in enumerate(words) if word in _CELLS]
    if not appended:
        return "_".join(words)
    return f"{'_'.join(words[: appended[0]])} ({_CELLS[words[appended[-1]]]})"
