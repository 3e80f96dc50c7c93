"""Rewrites generated Verilog for a compiled simulator: the same gates in fewer words."""

import re

_ITEM = r"(?:\\\S+ |[A-Za-z_]\w*)(?: ?\[\d+\])?"
_REPEATED = re.compile(rf"(?<=[ {{])({_ITEM})(?:\s*,\s+\1(?=\s*[,}}])){{2,}}")
_CLEARED_WORD = re.compile(r"^ *(?:\\\S+ |\w+) ?\[\d+\] = \d+'h0+;\n", re.MULTILINE)
_EMPTY_INITIAL = re.compile(r"^ *initial begin\n *end\n", re.MULTILINE)


def condense(verilog: str) -> str:
    """`verilog` with sign extensions as replications, and without the words of memories that begin as 0.

    Simulators begin with 0 where nothing is said, if so told; and thousands of assignments, or a bit that is
    taken out of a word ten times to extend its sign, cost them seconds and speed.
    """
    text = _EMPTY_INITIAL.sub("", _CLEARED_WORD.sub("", verilog))
    return _REPEATED.sub(_replication, text)


def _replication(match: re.Match[str]) -> str:
    count = 1 + len(re.findall(rf",\s+{re.escape(match[1])}", match[0]))
    return f"{{{count}{{{match[1]}}}}}"
