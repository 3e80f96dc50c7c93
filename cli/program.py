"""Programs as commands take them: text or executable, with the machine that the file or the user names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.cli.kind import require_plain

if TYPE_CHECKING:
    from tilewright.isa.checker import Problem
    from tilewright.isa.config import Config
    from tilewright.isa.executable import Executable


@dataclass(frozen=True)
class AssembledProgram:
    """A program from a file.

    Members:
        path: where it was read.
        executable: code, configuration and regions.
        lines: the line of each instruction in a text, from 1; empty for an executable.
    """

    path: str
    executable: "Executable"
    lines: tuple[int, ...] = ()

    def place(self, index: int) -> str:
        """Where instruction `index` stands: file and line, or file and its place in the program."""
        return f"{self.path}:{self.lines[index]}" if self.lines else f"{self.path}: instruction {index}"

    def locate(self, problem: "Problem") -> str:
        """A problem in one line, after the place of the last instruction of a text that is concerned."""
        if not self.lines or not problem.instructions:
            return f"{self.path}: {problem}"
        return f"{self.place(max(problem.instructions))}: {problem}"


def read_program(path: str, config: str | None, default: str | None = None) -> AssembledProgram:
    """Read a program.

    Args:
        path: of an executable, known by its first bytes, or of a text in UTF-8.
        config: the preset or TOML file that the user names, if any.
        default: for a text that names no configuration, where the user names none either.

    Raises:
        TilewrightError: if the file is neither, or not for the configuration that the user names.
        OSError: if it cannot be read.
    """
    from tilewright.isa.container import MAGIC
    from tilewright.isa.executable import Executable

    require_plain(path)
    with open(path, "rb") as file:
        is_executable = file.read(len(MAGIC)) == MAGIC
    if not is_executable:
        return _read_text(path, config, default)
    executable = Executable.load(path)
    choose_config(path, executable.config, config)
    return AssembledProgram(path, executable)


def choose_config(path: str, own: "Config | None", named: str | None, default: str | None = None) -> "Config":
    """The configuration of a file, of the command line, or the default.

    Raises:
        TilewrightError: if the first two differ, or there is none of the three.
    """
    from tilewright.isa.config import load_config
    from tilewright.isa.error import TilewrightError

    asked = None if named is None else load_config(named)
    if own is not None and asked not in (None, own):
        raise TilewrightError(f"{path}: is made for another machine than --config {named}: drop one")
    config = own or asked or (load_config(default) if default else None)
    if config is None:
        raise TilewrightError(f"{path}: must name its machine: add .config NAME, or give --config NAME")
    return config


def _read_text(path: str, config: str | None, default: str | None) -> AssembledProgram:
    from tilewright.isa.assembly import assemble
    from tilewright.isa.executable import Executable
    from tilewright.isa.text_file import read_text

    assembly = assemble(read_text(path, "an executable or text in UTF-8"), path)
    machine = choose_config(path, assembly.config, config, default)
    return AssembledProgram(path, Executable.of(assembly.program, machine, assembly.regions), assembly.lines)
