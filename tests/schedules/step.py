"""Random steps of schedules: one for every primitive, with names that the program has."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from random import Random

from tilewright.compiler.schedule import (
    BufferDepth,
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Pipeline,
    Prefetch,
    Primitive,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    RFactor,
    SetScope,
    Split,
    SplitFirst,
    SplitParts,
    SplitSelect,
    StorageAlign,
    Tile,
    UnitLoop,
    Unroll,
    Vectorise,
    VirtualThread,
)
from tilewright.compiler.schedule.loop_nest import BodyScope, path_to
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Select
from tilewright.compiler.tir.stmt import Allocate, Block, For, IterKind, PrimFunc
from tilewright.compiler.tir.walk import blocks, loads, statements, variables

_NOTHING = "nothing"
"""Named where there is nothing of a kind to name: to be refused."""


@dataclass(frozen=True)
class Facts:
    """What a program has to name."""

    function: PrimFunc

    @cached_property
    def loops(self) -> list[str]:
        """All loops, in order."""
        found = (stmt.var.name for stmt in statements(self.function.body) if isinstance(stmt, For))
        return list(found) or [_NOTHING]

    @cached_property
    def neighbours(self) -> list[tuple[str, str]]:
        """Loops one behind the other in the text, most of them inside of each other."""
        return list(pairwise(self.loops)) or [(self.loops[0], _NOTHING)]

    @cached_property
    def buffers(self) -> list[str]:
        """All that are allocated."""
        found = [stmt.buffer.name for stmt in statements(self.function.body) if isinstance(stmt, Allocate)]
        return found or [_NOTHING]

    @cached_property
    def blocks(self) -> list[Block]:
        """All blocks."""
        return list(blocks(self.function.body))

    @cached_property
    def reads(self) -> list[tuple[str, str]]:
        """Each block with a buffer that it reads."""
        found = dict.fromkeys(
            (block.name, load.buffer.name) for block in self.blocks for load in loads(block)
        )
        return list(found) or [(_NOTHING, _NOTHING)]

    @cached_property
    def reductions(self) -> list[tuple[str, str]]:
        """Each block with a loop that it reduces over."""
        found = [
            (block.name, loop)
            for block in self.blocks
            for it in block.iters
            if it.kind is IterKind.REDUCE
            for loop in sorted(variables(it.value))
        ]
        return found or [(_NOTHING, _NOTHING)]

    @cached_property
    def pairs(self) -> list[tuple[Block, Block]]:
        """Each block with one that reads what it writes."""
        written = {block.name: {store.buffer.name for store in block.stores} for block in self.blocks}
        found = [
            (writer, reader)
            for reader in self.blocks
            for writer in self.blocks
            if reader is not writer
            and not written[writer.name].isdisjoint(x.buffer.name for x in loads(reader))
        ]
        return found or [(self.blocks[0], self.blocks[0])]

    def around(self, block: Block) -> list[str]:
        """The loops around a block."""
        path = path_to(self.function.body, block)
        return [stmt.var.name for stmt in path if isinstance(stmt, For)] or self.loops

    def stages(self, loop: str) -> list[str]:
        """The last block of each loop nest in a loop."""
        found = (s for s in statements(self.function.body) if isinstance(s, For) and s.var.name == loop)
        nests = [nest for each in found for nest in BodyScope.of(each.body).nests]
        return [list(blocks(nest))[-1].name for nest in nests if list(blocks(nest))]

    def before(self, loop: str) -> str:
        """The loop before one in the text, most often around it."""
        return self.loops[max(self.loops.index(loop) - 1, 0)]


_Draw = Callable[[Random, Facts, str], Primitive]
_SCOPES = (MemoryScope.ACTIVATION, MemoryScope.LANE)


def _of_loop(kind: type[Parallel | Unroll | Vectorise | VirtualThread]) -> _Draw:
    return lambda random, facts, new: kind(random.choice(facts.loops))


def _compute_at(random: Random, facts: Facts, new: str) -> Primitive:
    writer, reader = random.choice(facts.pairs)
    return ComputeAt(
        writer.name, random.choice(facts.around(reader) if random.random() < 0.9 else facts.loops)
    )


def _reverse_compute_at(random: Random, facts: Facts, new: str) -> Primitive:
    writer, reader = random.choice(facts.pairs)
    loops = facts.around(writer) if random.random() < 0.9 else facts.loops
    return ReverseComputeAt(reader.name, random.choice(loops))


def _reorder(random: Random, facts: Facts, new: str) -> Primitive:
    if random.random() < 0.5:
        return Reorder(random.choice(facts.neighbours)[::-1])
    loops = facts.around(random.choice(facts.blocks))
    return Reorder(tuple(random.sample(loops, min(len(loops), random.randint(1, 4)))))


def _reverse_inline(random: Random, facts: Facts, new: str) -> Primitive:
    writer, reader = random.choice(facts.pairs)
    return ReverseInline(reader.name, writer.name)


def _prefetch(random: Random, facts: Facts, new: str) -> Primitive:
    writer, reader = random.choice(facts.pairs)
    loop = random.choice(facts.around(reader))
    return Prefetch(random.choice(writer.stores).buffer.name, loop, random.randint(1, 2))


def _split_first(random: Random, facts: Facts, new: str) -> Primitive:
    loop, outer = random.choice(facts.loops), f"{new}o"
    at = outer if random.random() < 0.5 else facts.before(loop)
    return SplitFirst(loop, random.randint(1, 5), random.randint(1, 5), at, outer, f"{new}i")


def _split_select(random: Random, facts: Facts, new: str) -> Primitive:
    choices = [block.name for block in facts.blocks if isinstance(block.body.value, Select)]
    if not choices or random.random() < 0.1:
        choices = [block.name for block in facts.blocks]
    return SplitSelect(random.choice(choices))


def _pipeline(random: Random, facts: Facts, new: str) -> Primitive:
    """Mostly of a loop with several stages, whose offsets mostly rise."""
    bodies = [loop for loop in facts.loops if len(facts.stages(loop)) > 1 or random.random() < 0.1]
    loop = random.choice(bodies or facts.loops)
    stages = facts.stages(loop)
    offsets = [random.randint(0, 2) for _ in stages]
    if random.random() < 0.8:
        offsets.sort()
    pairs = list(zip(stages, offsets, strict=True))
    if random.random() < 0.5:
        # What comes later in the program waits for nothing of its step.
        pairs = sorted(pairs, key=lambda pair: -pair[1])
    across = loop if random.random() < 0.5 else facts.before(loop)
    drain = max(offsets, default=0) + random.choice((0, 0, 1, 2, -1))
    names, numbers = (tuple(each) for each in zip(*pairs, strict=True)) if pairs else ((), ())
    return Pipeline(loop, across, names, numbers, drain)


DRAWS: dict[type[Primitive], tuple[_Draw, int]] = {
    CacheRead: (lambda r, f, new: CacheRead(*r.choice(f.reads), r.choice(_SCOPES), new), 3),
    CacheWrite: (lambda r, f, new: CacheWrite(r.choice(f.blocks).name, r.choice(_SCOPES), new), 3),
    ComputeAt: (_compute_at, 8),
    DecomposeReduction: (lambda r, f, new: DecomposeReduction(*r.choice(f.reductions), new), 2),
    Fuse: (lambda r, f, new: Fuse(*r.choice(f.neighbours), new), 3),
    Inline: (lambda r, f, new: Inline(r.choice(f.blocks).name), 2),
    Parallel: (_of_loop(Parallel), 1),
    Pipeline: (_pipeline, 3),
    Prefetch: (_prefetch, 1),
    RFactor: (lambda r, f, new: RFactor(*r.choice(f.reductions), new), 3),
    Reorder: (_reorder, 4),
    ReverseComputeAt: (_reverse_compute_at, 5),
    ReverseInline: (_reverse_inline, 2),
    SetScope: (lambda r, f, new: SetScope(r.choice(f.buffers), r.choice(_SCOPES)), 1),
    Split: (lambda r, f, new: Split(r.choice(f.loops), r.randint(1, 5), f"{new}o", f"{new}i"), 6),
    SplitFirst: (_split_first, 4),
    SplitParts: (lambda r, f, new: SplitParts(r.choice(f.loops), r.randint(1, 4), f"{new}o", f"{new}i"), 2),
    SplitSelect: (_split_select, 2),
    StorageAlign: (
        lambda r, f, new: StorageAlign(r.choice(f.buffers), 0, r.choice((4, 8)), r.randint(0, 2)),
        1,
    ),
    Tile: (lambda r, f, new: Tile(*r.choice(f.neighbours), r.randint(1, 4), r.randint(1, 4)), 2),
    UnitLoop: (lambda r, f, new: UnitLoop(r.choice(f.blocks).name, new), 1),
    Unroll: (_of_loop(Unroll), 1),
    Vectorise: (_of_loop(Vectorise), 2),
    BufferDepth: (lambda r, f, new: BufferDepth(r.choice(f.buffers), r.randint(1, 3)), 1),
    VirtualThread: (_of_loop(VirtualThread), 1),
}
"""How each primitive is drawn, and how often beside the others."""


def draw_step(random: Random, function: PrimFunc, number: int) -> Primitive:
    """A step that names what the program has; it may be refused.

    Args:
        random: what is drawn from.
        function: the program as it is.
        number: of the step in its schedule: new names have it.
    """
    (draw, _) = random.choices(list(DRAWS.values()), [weight for _, weight in DRAWS.values()])[0]
    return draw(random, Facts(function), f"n{number}")
