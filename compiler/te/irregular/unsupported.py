"""Unsupported Python: every construct with its file and line, all of them in one error."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tilewright.compiler.tir.error import TirError


class UnsupportedConstructError(
    Exception
):  # of one place; the error that is raised in the end holds all of them
    """The reason why a construct is not supported, with the remedy."""


@dataclass(frozen=True)
class Source:
    """The text of a Python function.

    Members:
        file: its name.
        first: the line of the file that is line 1 of the parsed text.
        definition: the function.
    """

    file: str
    first: int
    definition: ast.FunctionDef

    @staticmethod
    def of(function: Callable[..., object]) -> "Source":
        """The source of a function.

        Raises:
            TirError: if it has none, or is no plain `def`.
        """
        name = getattr(function, "__name__", repr(function))
        try:
            lines, first = inspect.getsourcelines(function)
        except (OSError, TypeError):
            raise TirError(f"{name} must be written in a file: its source is parsed") from None
        try:
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except SyntaxError:
            raise TirError(f"{name} must be a function of its own, with def") from None
        if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
            raise TirError(f"{name} must be a function of its own, with def, not {ast.unparse(tree)!r}")
        return Source(Path(inspect.getfile(function)).name, first, tree.body[0])

    @property
    def body(self) -> list[ast.stmt]:
        """The statements of the function, without its docstring."""
        first, *others = self.definition.body
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        return (others or [ast.Pass(lineno=first.lineno)]) if is_text else [first, *others]

    def line(self, node: ast.AST) -> int:
        """The line of the file where a part of it begins."""
        return self.first + int(getattr(node, "lineno", 1)) - 1


@dataclass
class Report:
    """All unsupported constructs: file, line, and reason."""

    locations: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, source: Source, node: ast.AST, reason: str) -> None:
        """Note a construct; once is enough."""
        text = ast.unparse(node).splitlines()[0]
        place = source.file, source.line(node), f"`{text}`: {reason}"
        if place not in self.locations:
            self.locations.append(place)

    def check(self, name: str) -> None:
        """Raise if there is an unsupported construct.

        Raises:
            TirError: with a line for each construct.
        """
        if self.locations:
            lines = [f"{file}:{line}: {text}" for file, line, text in sorted(self.locations)]
            raise TirError("\n".join([f"{name} must be written otherwise here:", *lines]))


_ELEMENTS = "write a loop over elements"
_INSTEAD: dict[type[ast.AST], str] = {
    ast.Try: "nothing is raised: test with if before",
    ast.With: "leave it out",
    ast.Raise: "nothing is raised: give a value that says so",
    ast.Assert: "leave it out: nothing is raised",
    ast.Delete: "leave it out",
    ast.Global: "return it as an output",
    ast.Nonlocal: "return it as an output",
    ast.Import: "import it outside of the function",
    ast.ImportFrom: "import it outside of the function",
    ast.FunctionDef: "make it a hybrid function of its own, outside",
    ast.AsyncFunctionDef: "make it a hybrid function of its own, outside",
    ast.ClassDef: "leave it out",
    ast.Lambda: "make it a hybrid function of its own, outside",
    ast.Match: "use if and elif",
    ast.AsyncFor: "use for over range",
    ast.AsyncWith: "leave it out",
    ast.AnnAssign: "assign without an annotation",
    ast.NamedExpr: "assign in a statement before",
    ast.ListComp: f"{_ELEMENTS} into te.allocate",
    ast.SetComp: f"{_ELEMENTS} into te.allocate",
    ast.DictComp: f"{_ELEMENTS} into te.allocate",
    ast.GeneratorExp: _ELEMENTS,
    ast.Dict: "use te.allocate and indices",
    ast.Set: "use te.allocate and indices",
    ast.Yield: "return outputs at the end",
    ast.YieldFrom: "return outputs at the end",
    ast.Await: "leave it out",
    ast.JoinedStr: "leave it out: there is no text",
    ast.Starred: "name the arguments one by one",
    ast.Slice: _ELEMENTS,
}


def refuse_constructs(source: Source, report: Report) -> None:
    """Note every construct that has no meaning here, wherever it stands."""
    for statement in source.body:
        for node in ast.walk(statement):
            if type(node) in _INSTEAD:
                report.add(source, node, _INSTEAD[type(node)])


def is_refused(node: ast.AST) -> bool:
    """Whether a statement holds, outside of its inner ones, what `refuse_constructs` notes."""
    inner = [part for part in ast.iter_child_nodes(node) if not isinstance(part, ast.stmt)]
    return type(node) in _INSTEAD or any(is_refused(part) for part in inner)


def assigned_names(statements: Sequence[ast.stmt]) -> set[str]:
    """Every name that is assigned in some statements, those inside too."""
    found = (node for statement in statements for node in ast.walk(statement))
    return {node.id for node in found if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
