"""When a channel of the bus rests."""

import random
from collections.abc import Iterator

_SHARES = (0.0, 0.0, 0.2, 0.6, 1.0)
_SPELL_CYCLES = 24


def pauses(rng: random.Random) -> Iterator[bool]:
    """Endless, one a cycle: spells of traffic, of stutter and of silence, none longer than 24 cycles."""
    while True:
        share = rng.choice(_SHARES)
        for _ in range(rng.randint(1, _SPELL_CYCLES)):
            yield rng.random() < share
