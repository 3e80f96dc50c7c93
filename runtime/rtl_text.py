"""Rewrites generated Verilog for a compiled simulator: the same gates in fewer words and fewer steps.

It knows the form in which yosys writes what Amaranth makes, and leaves alone what does not have it.
"""

import re
from collections import Counter

_NAME = r"(?:\\\S+ |[A-Za-z_]\w*)"
_ITEM = rf"{_NAME}(?: ?\[\d+\])?"
_REPEATED = re.compile(rf"(?<=[ {{])({_ITEM})(?:\s*,\s+\1(?=\s*[,}}])){{2,}}")
_CLEARED_WORD = re.compile(r"^ *(?:\\\S+ |\w+) ?\[\d+\] = \d+'h0+;\n", re.MULTILINE)
_EMPTY_INITIAL = re.compile(r"^ *initial begin\n *end\n", re.MULTILINE)

_MODULE = re.compile(r"^(?=module )", re.MULTILINE)
_NUMBERED = re.compile(r"\\\$\d+ ")
_REGISTER = re.compile(rf"^  always @\((posedge {_NAME}?)\)\n    ({_NAME}) ?<= (\\\$\d+ );\n", re.MULTILINE)
# A process that computes one signal, which it sets first of all; the condition is a device of the writer's.
_PROCESS = re.compile(
    r"^  always @\* begin\n    if \(\\\$auto\S+ \) begin end\n((?=    (\\\$\d+ ) = )(?:.*\n)*?)  end\n",
    re.MULTILINE,
)


def condense(verilog: str) -> str:
    """`verilog` with the same meaning for simulators that begin with 0 where nothing is said.

    Without the words of memories that begin as 0, of which there are thousands; with sign extensions as
    replications instead of bits taken out of a word many times; and with processes that compute the next
    value of one register as part of the register, so that one that keeps its value is not written at all.
    """
    text = _EMPTY_INITIAL.sub("", _CLEARED_WORD.sub("", verilog))
    text = _REPEATED.sub(_replication, text)
    return "".join(_merge_registers(module) for module in _MODULE.split(text))


def _replication(match: re.Match[str]) -> str:
    count = 1 + len(re.findall(rf",\s+{re.escape(match[1])}", match[0]))
    return f"{{{count}{{{match[1]}}}}}"


def _merge_registers(module: str) -> str:
    """Move each process that computes nothing but a register's next value into the register."""
    registers = {match[3]: match for match in _REGISTER.finditer(module)}
    uses = Counter(_NUMBERED.findall(module))
    merged = set()

    def merge(process: re.Match[str]) -> str:
        body, next_value = process[1], process[2]
        register = registers.get(next_value)
        # Besides the process: the declaration, and the register.
        if register is None or uses[next_value] != body.count(next_value) + 2:
            return process[0]
        assignments = _as_register(body, next_value, register[2])
        if assignments is None:
            return process[0]
        merged.add(next_value)
        return f"  always @({register[1]}) begin\n{assignments}  end\n"

    module = _PROCESS.sub(merge, module)
    return _REGISTER.sub(lambda match: "" if match[3] in merged else match[0], module)


def _as_register(body: str, next_value: str, register: str) -> str | None:
    """The body of a process with `register` in place of its next value; None if it is read there, too."""
    assignment = re.compile(rf"( *){re.escape(next_value)}((?:\[[\d:]+\] )?) ?= (.*);")
    lines = []
    for line in body.splitlines():
        match = assignment.fullmatch(line)
        if next_value in (match[3] if match else line):
            return None
        # What a register keeps need not be said.
        if match is None:
            lines.append(f"{line}\n")
        elif match[2] or match[3].strip() != register.strip():
            lines.append(f"{match[1]}{register}{match[2]} <= {match[3]};\n")
    return "".join(lines)
