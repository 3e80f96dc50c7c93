"""Compiles gates into a shared library: Amaranth to Verilog, Verilator to C++, then to machine code.

Each step is kept in the cache under a name that holds all that it depends on, so that a build happens once.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from importlib import metadata, resources
from pathlib import Path

from tilewright.isa.config import Config
from tilewright.isa.memory import Engine
from tilewright.runtime.build_cache import built, digest
from tilewright.runtime.rtl_text import condense
from tilewright.runtime.rtl_toolchain import Toolchain

TOP = "bench"
"""Name of the top module; the harness has Verilator's name for it, which is `V` and this name."""

_VERILATOR_OPTIONS = (
    "--cc",
    "-O3",
    "--x-assign",
    "fast",
    # As `condense` needs it.
    "--x-initial",
    "0",
    "--no-timing",
    "--no-assert",
    "--output-split",
    "10000",
    # The text is generated: what it says twice or leaves unused is no one's to clean up.
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
)
_BATCH_BYTES = 1_000_000
"""Text that is worth a compiler of its own."""
_COMPILER_OPTIONS = ("-std=c++20", "-fPIC", "-w")
_ARITHMETIC = "rtl_arithmetic.h"

Options = tuple[str, ...]


class Optimise(StrEnum):
    """What a build is made for: to be compiled soon, or to run fast."""

    BUILD = "build"
    SPEED = "speed"

    @property
    def flags(self) -> Options:
        """Options of the C++ compiler."""
        return ("-O2",) if self is Optimise.SPEED else ("-O1",)


def build(config: Config, toolchain: Toolchain, optimise: Optimise = Optimise.BUILD) -> Path:
    """The shared library of the gates of `config`, from the cache or compiled now.

    Raises:
        RtlBuildError: if a step fails, with the end of its output.
    """
    return build_verilog(bench_verilog(config), config.bus_bytes, toolchain, optimise)


def bench_verilog(config: Config) -> str:
    """The gates of `config` with the memory outside, as Verilog."""
    name = f"verilog-{digest(_gate_sources(), metadata.version('amaranth'), config.digest())}"
    folder = built(name, lambda folder: _emit(config, folder / f"{TOP}.v"))
    return (folder / f"{TOP}.v").read_text()


def build_verilog(text: str, bus_bytes: int, toolchain: Toolchain, optimise: Optimise) -> Path:
    """The shared library of the Verilog `text`, whose module `bench` has the ports of `RtlBench`.

    Raises:
        RtlBuildError: if a step fails, with the end of its output.
    """
    harness, arithmetic = _own_source("rtl_harness.cpp"), _own_source(_ARITHMETIC)
    options = (*_COMPILER_OPTIONS, *optimise.flags, f"-DBUS_BYTES={bus_bytes}", f"-DENGINES={len(Engine)}")
    name = f"rtl-{digest(text, harness, arithmetic, toolchain.version, *_VERILATOR_OPTIONS, *options)}"

    def produce(folder: Path) -> None:
        (folder / f"{TOP}.v").write_text(text)
        (folder / "harness.cpp").write_text(harness)
        (folder / _ARITHMETIC).write_text(arithmetic)
        names = ("--top-module", TOP, "--prefix", f"V{TOP}", "--Mdir", ".")
        toolchain.verilate((*_VERILATOR_OPTIONS, *names, f"{TOP}.v"), folder)
        objects = _compile(toolchain, _batches(folder, options), folder)
        shared = sorted(_library(toolchain, optimise).glob("*.o"))
        toolchain.compile(("-shared", *objects, *shared, "-o", f"{TOP}.so", "-lpthread"), folder)
        _remove_all_but(folder, f"{TOP}.so")

    return built(name, produce) / f"{TOP}.so"


def _own_source(name: str) -> str:
    return (resources.files(__package__) / name).read_text()


def _emit(config: Config, path: Path) -> None:
    # Amaranth takes a second to import, which a build in the cache does not need.
    from tilewright.hw.bench_top import RtlBench
    from tilewright.hw.verilog import emit_component

    path.write_text(condense(emit_component(RtlBench(config), TOP)))


def _gate_sources() -> bytes:
    """All that the text of the gates follows from, besides the configuration."""
    rooms = (resources.files(f"tilewright.{room}") for room in ("isa", "hw"))
    gates = [file for room in rooms for file in room.iterdir() if file.name.endswith(".py")]
    files = [*sorted(gates, key=lambda file: file.name), resources.files(__package__) / "rtl_text.py"]
    return b"".join(file.read_bytes() for file in files)


def _library(toolchain: Toolchain, optimise: Optimise) -> Path:
    """The folder of Verilator's own objects, which all machines share."""
    options = (*_COMPILER_OPTIONS, *optimise.flags)
    name = f"verilator-{digest(toolchain.version, *options)}"

    def produce(folder: Path) -> None:
        _compile(toolchain, [(source, options) for source in toolchain.runtime_sources], folder)

    return built(name, produce)


def _batches(folder: Path, options: Options) -> list[tuple[Path, Options]]:
    """Sources that include all of `folder`, each with its options: few, as each reads Verilator's headers.

    What runs once, when a machine is powered up, is compiled without optimisation.
    """
    sources = sorted(folder.glob("*.cpp"), key=lambda source: (-source.stat().st_size, source))
    once = [source for source in sources if source.stem.endswith("__Slow")]
    often = [source for source in sources if source not in once]
    count = max(1, min(os.cpu_count() or 1, sum(source.stat().st_size for source in often) // _BATCH_BYTES))
    parts = [(often[part::count], options) for part in range(count)]
    return [
        (_write_batch(folder / f"batch{index}.cc", part), flags)
        for index, (part, flags) in enumerate([*parts, (once, (*options, "-O0"))])
    ]


def _write_batch(path: Path, sources: Sequence[Path]) -> Path:
    names = (_ARITHMETIC, *(source.name for source in sources))
    path.write_text("".join(f'#include "{name}"\n' for name in names))
    return path


def _compile(toolchain: Toolchain, jobs: Sequence[tuple[Path, Options]], folder: Path) -> list[Path]:
    """Compile each source with its options into an object in `folder`, one for each processor at a time."""

    def compile_one(job: tuple[Path, Options]) -> Path:
        source, options = job
        result = folder / f"{source.stem}.o"
        toolchain.compile((*options, *toolchain.includes, f"-I{folder}", "-c", source, "-o", result), folder)
        return result

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, jobs))


def _remove_all_but(folder: Path, name: str) -> None:
    for path in folder.iterdir():
        if path.name != name:
            path.unlink()
