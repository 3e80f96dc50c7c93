"""Writes the code and the numbers of pages in docs/ from the files in the folder of the same name here.

    python examples/page.py NAME [--check]

Under `<!-- code FILE: NAMES -->` stands the source of these definitions of FILE.py. Under `<!-- prints FILE:
EXPRESSION -->` stands the text that the expression gives there, where measure.py beside it is known, too;
`measured` is the same for what differs from machine to machine, and is compared in shape only. `--check`
writes nothing and fails if the page is another.
"""

import argparse
import ast
import difflib
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
NAMES = ("tutorial", "api")
PLACE = re.compile(r"<!-- (code|prints|measured) (\w+): (.+?) -->\n```(\w*)\n(.*?)```\n", re.DOTALL)
_DIGITS = re.compile(r"\d[\d,.]*")


def page_of(name: str) -> Path:
    """Where a page is."""
    return EXAMPLES.parent / "docs" / f"{name}.md"


def rendered(name: str, text: str, *, remeasure: bool) -> str:
    """A page with what its places stand for; its folder must be where modules are found.

    Args:
        name: one of `NAMES`.
        text: of the page.
        remeasure: whether to take measurements anew, too; else they stay where they have the same words.

    Raises:
        KeyError: if a file has no such definition.
    """

    def fill(place: re.Match[str]) -> str:
        kind, file, what, _, old = place.groups()
        new = _source(EXAMPLES / name / f"{file}.py", what) if kind == "code" else _value(file, what)
        if kind == "measured" and not remeasure and _words(new) == _words(old):
            new = old.rstrip("\n")
        language = "python" if kind == "code" else "text"
        return f"<!-- {kind} {file}: {what} -->\n```{language}\n{new}\n```\n"

    return PLACE.sub(fill, text)


def _source(path: Path, names: str) -> str:
    """The source of definitions at the top of a file, in the order of the names, as formatted."""
    source = path.read_text(encoding="utf-8")
    found = {
        name: ast.get_source_segment(source, node) for node in ast.parse(source).body for name in _names(node)
    }
    first, *others = (str(found[name.strip()]) for name in names.split(","))
    for text in others:
        first += ("\n\n\n" if "\ndef " in f"\n{first}" else "\n\n") + text
    return first


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []


def _value(file: str, expression: str) -> str:
    """The text that an expression gives in a file, which also knows what measure.py beside it has."""
    shared = vars(import_module("measure")) if find_spec("measure") else {}
    return str(eval(expression, {**shared, **vars(import_module(file))}))


def _words(text: str) -> list[str]:
    """Without numbers, rules and the room between words."""
    return _DIGITS.sub("0", text).replace("-", "").split()


def main() -> int:
    """The command: 0 if the page is up to date, or is now."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES, help="the page")
    parser.add_argument("--check", action="store_true", help="say what is out of date, and change nothing")
    options = parser.parse_args()
    sys.path.insert(0, str(EXAMPLES / options.name))
    page = page_of(options.name)
    old = page.read_text(encoding="utf-8")
    new = rendered(options.name, old, remeasure=not options.check)
    if not options.check:
        page.write_text(new, encoding="utf-8")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), new.splitlines(True), "the page", "what the code prints")
    )
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
