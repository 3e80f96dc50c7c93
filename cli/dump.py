"""`tilewright compile --dump`: what each pass of the compiler makes, as files of text."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ALL = "all"
PASSES = (
    *("input", "simplify", "fold", "recompose", "partition", "integers"),
    *("lower", "schedule", "tensorise", "tasks", "assembler"),
)
"""The names of `pipeline.STAGES`, for a help that loads no compiler; a test compares them."""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_MOST_CHARACTERS = 60


class Dump:
    """Gathers what passes make; files are written with the others of the command, at the end.

    Args:
        wanted: names of passes, or "all".

    Raises:
        TilewrightError: if there is no such pass, listing those there are.
    """

    def __init__(self, wanted: list[str]) -> None:
        from tilewright.compiler.pipeline import STAGES
        from tilewright.isa.error import TilewrightError

        for name in wanted:
            if name not in (*STAGES, ALL):
                raise TilewrightError(f"--dump must be one of {', '.join((*STAGES, ALL))}, not {name!r}")
        self._stages = STAGES
        self._wanted = frozenset(STAGES if ALL in wanted else wanted)
        self._texts: dict[tuple[str, str], list[str]] = {}

    def __call__(self, where: str, stage: str, text: str) -> None:
        """Is told of the text behind a pass; of a layer in parts, part by part."""
        if stage == "partition":
            # Where a part was refused, the network is split anew.
            self._texts = {key: texts for key, texts in self._texts.items() if not key[0]}
            self._texts.pop((where, stage), None)
        self._texts.setdefault((where, stage), []).append(text)

    def files(self, folder: str) -> Mapping[str, bytes]:
        """The contents by path: of the network in the folder, of a part and of each layer in one inside."""
        places = dict(self._places())
        return {
            str(Path(folder, places[where], f"{self._stages.index(stage):02}_{stage}.txt")): _joined(texts)
            for (where, stage), texts in self._texts.items()
            if stage in self._wanted
        }

    def _places(self) -> Iterator[tuple[str, str]]:
        """A folder for each part and layer, in the order of the program."""
        layers: dict[str, int] = {}
        for where in dict.fromkeys(where for where, _ in self._texts):
            part, _, layer = where.partition("/")
            if not layer:
                yield where, _plain(part)
                continue
            layers[part] = layers.get(part, -1) + 1
            yield where, f"{_plain(part)}/{layers[part]:03}_{_plain(layer)}"


def _plain(name: str) -> str:
    return _ODD.sub("_", name)[:_MOST_CHARACTERS]


def _joined(texts: list[str]) -> bytes:
    return ("\n\n".join(text.rstrip("\n") for text in texts) + "\n").encode()
