"""`tilewright doctor`: what this machine has and lacks, and how to get it."""

import argparse
import os
import shutil
import subprocess
import sys

from tilewright.cli.table import format_table
from tilewright.cli.tool import TOOLS, Purpose, Tool, ToolProgram, missing

# A machine without a network must not wait for minutes.
_APT_OPTIONS = ("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=20")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    """Declare the command and its options."""
    parser = subparsers.add_parser(
        "doctor",
        help="say what this machine has and lacks, and how to get it",
        description="Say what this machine has of what Tilewright needs, and how to get what it lacks.",
    )
    parser.add_argument(
        "--for",
        dest="purpose",
        choices=[purpose.value for purpose in Purpose],
        default=Purpose.CORE.value,
        help="what has to work for exit code 0 (default: core)",
    )
    parser.add_argument(
        "--install",
        action="store_true",
        help="install the system packages that --for lacks, with apt-get as root or through sudo",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the table; 0 if everything that the purpose needs is there, else 1."""
    purpose = Purpose(args.purpose)
    needed = required(purpose)
    if args.install:
        install_programs(missing(needed))
    print(format_table(("tool", "found", "needed for", "how to get it"), [_row(tool) for tool in TOOLS]))
    lacking = missing(needed)
    print(_verdict(purpose, lacking))
    return 1 if lacking else 0


def required(purpose: Purpose) -> tuple[Purpose, ...]:
    """The purposes whose tools `purpose` needs: everything needs the core, the tests also run the gates."""
    return tuple(
        dict.fromkeys((Purpose.CORE, *((Purpose.RTL,) if purpose is Purpose.TESTS else ()), purpose))
    )


def _row(tool: Tool) -> tuple[str, str, str, str]:
    found = tool.find()
    return tool.name, found or "missing", tool.purpose.label, "" if found else tool.remedy


def _verdict(purpose: Purpose, lacking: tuple[Tool, ...]) -> str:
    if not lacking:
        return f"Everything for {purpose} ({purpose.label}) is here."
    return f"Missing for {purpose} ({purpose.label}): {', '.join(tool.name for tool in lacking)}."


def install_programs(tools: tuple[Tool, ...]) -> None:
    """Install the Debian packages of the programs among `tools` where that needs no question.

    Where it cannot, say the command that would, on stderr, and go on: what needs the program then says so.
    """
    packages = sorted({tool.apt for tool in tools if isinstance(tool, ToolProgram)})
    if not packages:
        return
    prefix = _apt_prefix()
    if prefix is None or not _apt_install(prefix, packages):
        names = " ".join(packages)
        manual = f"sudo apt-get update && sudo apt-get install -y {names}"
        print(f"tilewright: could not install {names}; run: {manual}", file=sys.stderr)


def _apt_prefix() -> tuple[str, ...] | None:
    """What to put before apt-get, or None where it is absent or would ask for a password."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    asks = subprocess.run(("sudo", "-n", "true"), capture_output=True, check=False).returncode != 0
    return None if asks else ("sudo", "-n")


def _apt_install(prefix: tuple[str, ...], packages: list[str]) -> bool:
    print(f"Installing {', '.join(packages)} with apt-get.", file=sys.stderr)
    for action in (("update",), ("install", "-y", "--no-install-recommends", *packages)):
        command = (*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", *_APT_OPTIONS, *action)
        # Its chatter goes to stderr: stdout is the table's.
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            return False
    return True
