"""Lines of assembly text as words that know where they stand."""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_WORD = re.compile(r'"(?P<quoted>[^"]*)"|(?P<open>"[^"]*)|(?P<plain>[^\s#"]+)|(?P<comment>#.*)')
_SHOWN = 60
"""Characters of a word that messages show; no name is as long."""


@dataclass(frozen=True)
class Word:
    """A word of the text.

    Members:
        text: its characters, without quotes.
        line, column: where it begins, from 1.
        quoted: whether it stood in quotes.
        closed: False if its closing quote is missing.
    """

    text: str
    line: int
    column: int
    quoted: bool = False
    closed: bool = True

    @property
    def shown(self) -> str:
        """The word in quotes as messages show it: its beginning, if it is very long."""
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        return repr(text)

    def pieces(self, separator: str, most: int = -1) -> list["Word"]:
        """The parts between the first `most` separators (default: all)."""
        column, result = self.column, []
        for text in self.text.split(separator, most):
            result.append(Word(text, self.line, column))
            column += len(text) + len(separator)
        return result


@dataclass(frozen=True)
class TextProblem:
    """What is wrong with a word, and what would be right."""

    word: Word
    text: str

    def __str__(self) -> str:
        return f"{self.word.line}:{self.word.column}: {self.text}"


class WordError(Exception):
    """A word that cannot be read, with its problem."""

    def __init__(self, problem: TextProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_words(line: str, number: int) -> Iterator[Word]:
    """The words of one line, up to its comment."""
    for match in _WORD.finditer(line):
        kind, column = match.lastgroup, match.start() + 1
        if kind == "comment":
            return
        text = match[kind or 0].removeprefix('"')
        yield Word(text, number, column, quoted=kind != "plain", closed=kind != "open")


def unknown_name(what: str, word: Word, known: Iterable[str]) -> TextProblem:
    """The problem of a name that is none of `known`: the nearest of these, or all."""
    names = list(known)
    near = difflib.get_close_matches(word.text.lower()[:_SHOWN], names, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else "known are " + ", ".join(names)
    return TextProblem(word, f"unknown {what} {word.shown}: {remedy}")
