"""Programs as text: one instruction a line, fields by name, directives for configuration and regions.

    .config tiny                     # a preset, a TOML file, or every size: rows=4 cols=4 …
    .region 0 4096 "inputs"          # base register, bytes, name
    load offset=0x40 memory=weight n_y=4 stride_y=16 signal=matrix
    finish

A field that is left out has its default. `wait` and `signal` take engines, separated by commas.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import IntEnum

from tilewright.isa.config import PRESETS, Config, load_config
from tilewright.isa.error import TilewrightError
from tilewright.isa.instruction import INSTRUCTIONS, Instruction, InstructionError, Spec, specs
from tilewright.isa.lexer import TextProblem, Word, WordError, read_words, unknown_name
from tilewright.isa.memory import Engine
from tilewright.isa.region import Region, require_distinct

_MNEMONICS: Mapping[str, type[Instruction]] = {kind.opcode.name.lower(): kind for kind in INSTRUCTIONS}
_ENGINES = {engine.label: engine for engine in Engine}
_MASKS = ("wait", "signal")
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)")
_LONGEST_NUMBER = 40
"""Characters of a number; all fields and sizes need fewer."""
_MOST_PROBLEMS = 1000
"""Problems that are told of one text; a file of something else has one in every line."""


class AssemblyError(TilewrightError):
    """Text that is no program, with everything that is wrong.

    Members:
        problems: each with its word, in the order of the text.
    """

    def __init__(self, problems: Sequence[TextProblem], source: str) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}:{problem}" for problem in problems))


@dataclass(frozen=True)
class Assembly:
    """What a text says.

    Members:
        program: its instructions.
        lines: the line of each instruction, from 1.
        config: the configuration it names, if it does.
        regions: its regions, in the order of the text.
        config_file: the TOML file that the configuration was read from, if it was.
    """

    program: tuple[Instruction, ...]
    lines: tuple[int, ...]
    config: Config | None
    regions: tuple[Region, ...]
    config_file: str | None = None


def assemble(text: str, source: str = "<text>") -> Assembly:
    """Read a program.

    Args:
        text: the program.
        source: the name of the text in errors.

    Raises:
        AssemblyError: with every problem of every line, up to a thousand: its place, its word, the nearest
            known name.
    """
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        reader.read_line(tuple(read_words(line, number)))
        if len(reader.problems) >= _MOST_PROBLEMS:
            reader.problems.append(
                TextProblem(Word("", number, 1), "further lines were not read: mend those first")
            )
            break
    if reader.problems:
        raise AssemblyError(reader.problems, source)
    return Assembly(
        tuple(reader.program), tuple(reader.lines), reader.config, tuple(reader.regions), reader.config_file
    )


def disassemble(
    program: Sequence[Instruction], config: Config | None = None, regions: Sequence[Region] = ()
) -> str:
    """The text of a program; `assemble` reads the same program, configuration and regions back."""
    head = [] if config is None else [f".config {_config_text(config)}"]
    head += [f'.region {region.base} {region.size_bytes} "{region.name}"' for region in regions]
    return "".join(f"{line}\n" for line in [*head, *map(format_instruction, program)])


def format_instruction(instruction: Instruction) -> str:
    """One instruction as a line of text: its name and the fields that differ from their defaults."""
    kind = type(instruction)
    defaults = {item.name: item.default for item in fields(kind)}
    words = [kind.opcode.name.lower()]
    for name in [*specs(kind), *_MASKS]:
        value = getattr(instruction, name)
        if value != defaults[name]:
            words.append(f"{name}={_value_text(value, specs(kind).get(name))}")
    return " ".join(words)


def _value_text(value: int, spec: Spec | None) -> str:
    if spec is None:
        return ",".join(engine.label for engine in Engine if value >> engine & 1)
    return str(int(value)) if spec.values is None else spec.values(value).name.lower()


def _config_text(config: Config) -> str:
    for name, preset in PRESETS.items():
        if preset == config:
            return name
    return " ".join(f"{name}={value}" for name, value in asdict(config).items())


# --- reading ----------------------------------------------------------------------------------------------


@dataclass
class _Reader:
    """Reads lines one after the other and keeps what they say and what is wrong with them."""

    program: list[Instruction] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    config: Config | None = None
    config_file: str | None = None
    regions: list[Region] = field(default_factory=list)
    problems: list[TextProblem] = field(default_factory=list)

    def read_line(self, words: tuple[Word, ...]) -> None:
        for word in words:
            if not word.closed:
                self.problems.append(TextProblem(word, f"missing closing quote of {word.shown}"))
                return
        if words:
            read = self._read_directive if words[0].text.startswith(".") else self._read_instruction
            self._attempt(lambda: read(words[0], words[1:]))

    def _attempt(self, read: Callable[[], None]) -> None:
        """Call `read` and keep the problem that it finds."""
        try:
            read()
        except WordError as error:
            self.problems.append(error.problem)

    # --- directives ----------------------------------------------------------------------------------------

    def _read_directive(self, name: Word, words: tuple[Word, ...]) -> None:
        readers = {".config": self._read_config, ".region": self._read_region}
        if name.text not in readers:
            raise WordError(unknown_name("directive", name, readers))
        try:
            readers[name.text](name, words)
        except TilewrightError as error:
            raise WordError(TextProblem(words[0], str(error))) from None

    def _read_config(self, name: Word, words: tuple[Word, ...]) -> None:
        if self.config is not None:
            raise WordError(TextProblem(name, ".config must stand once: remove one"))
        if not words:
            raise WordError(TextProblem(name, ".config must name a preset, a TOML file or every size"))
        named = len(words) == 1 and "=" not in words[0].text
        self.config = load_config(words[0].text) if named else _read_sizes(words)
        self.config_file = words[0].text if named and words[0].text not in PRESETS else None

    def _read_region(self, name: Word, words: tuple[Word, ...]) -> None:
        if len(words) != 3 or not words[2].quoted:
            raise WordError(TextProblem(name, '.region must be followed by base register, bytes and "name"'))
        region = Region(_read_integer(words[0]), _read_integer(words[1]), words[2].text)
        require_distinct([*self.regions, region])
        self.regions.append(region)

    # --- instructions --------------------------------------------------------------------------------------

    def _read_instruction(self, name: Word, words: tuple[Word, ...]) -> None:
        kind = _MNEMONICS.get(name.text.lower())
        if kind is None:
            raise WordError(unknown_name("instruction", name, _MNEMONICS))
        values: dict[str, int] = {}
        before = len(self.problems)
        for word in words:
            self._attempt(lambda word=word: _read_field(kind, word, values))  # type: ignore[misc]
        if len(self.problems) > before:
            return
        try:
            self.program.append(kind(**values))
            self.lines.append(name.line)
        except InstructionError as error:
            raise WordError(TextProblem(name, str(error))) from None


def _read_field(kind: type[Instruction], word: Word, values: dict[str, int]) -> None:
    """Add the field that a word gives to `values`."""
    known = {**specs(kind), **dict.fromkeys(_MASKS)}
    name, value = _read_pair(word, known, f"field of {kind.opcode.name.lower()}")
    if name in values:
        raise WordError(TextProblem(word, f"{name} must stand once in an instruction: remove one"))
    spec = known[name]
    if spec is None:
        values[name] = sum({1 << _read_engine(engine) for engine in value.pieces(",")})
    else:
        values[name] = _read_number(value, name, spec) if spec.values is None else _read_choice(value, spec)


def _read_sizes(words: tuple[Word, ...]) -> Config:
    known = {item.name: item for item in fields(Config)}
    sizes = {
        name: _read_integer(value) for name, value in (_read_pair(word, known, "size") for word in words)
    }
    missing = [name for name, item in known.items() if name not in sizes and item.default is MISSING]
    if missing:
        raise WordError(TextProblem(words[-1], f".config must give every size, also {', '.join(missing)}"))
    return Config(**sizes)


def _read_pair(word: Word, known: Iterable[str], what: str) -> tuple[str, Word]:
    """Name and value of a word `name=value`, the name among `known`."""
    name, *value = word.pieces("=", 1)
    if not value or word.quoted:
        raise WordError(TextProblem(word, f"{word.shown} must be written as field=value"))
    if name.text not in known:
        raise WordError(unknown_name(what, name, known))
    return name.text, value[0]


def _read_engine(word: Word) -> Engine:
    if word.text.lower() not in _ENGINES:
        raise WordError(unknown_name("engine", word, _ENGINES))
    return _ENGINES[word.text.lower()]


def _read_choice(word: Word, spec: Spec) -> IntEnum:
    names = {item.name.lower(): item for item in spec.values or ()}
    if word.text.lower() not in names:
        raise WordError(unknown_name("value", word, names))
    return names[word.text.lower()]


def _read_number(word: Word, name: str, spec: Spec) -> int:
    value = _read_integer(word)
    if not spec.minimum <= value <= spec.maximum:
        text = f"{name} must be from {spec.minimum} to {spec.maximum}, not {word.text}"
        raise WordError(TextProblem(word, text))
    return value


def _read_integer(word: Word) -> int:
    if not _INTEGER.fullmatch(word.text):
        raise WordError(TextProblem(word, f"{word.shown} must be a number such as 12, -3 or 0x40"))
    if len(word.text) > _LONGEST_NUMBER:
        raise WordError(
            TextProblem(word, f"{word.shown} must be a number of at most {_LONGEST_NUMBER} digits")
        )
    return int(word.text, 16 if "x" in word.text.lower() else 10)
