"""The machine that code is for, and the way from LLVM text to its machine code."""

import ctypes
import platform
from dataclasses import dataclass, replace
from functools import cache

import llvmlite
from llvmlite import binding as llvm

from tilewright.compiler.targets.cpu.error import CpuError

OPTIMISATION_LEVEL = 3
_SAFE_LEVEL = 1
_ARCH_PRCTL = 158
_REQUEST_PERMISSION, _TILE_DATA = 0x1023, 18
"""Of Linux on x86-64: asm/prctl.h, and the component of the extended state."""


@dataclass(frozen=True)
class HostMachine:
    """A processor.

    Members:
        triple: architecture, vendor, system.
        cpu: model, as LLVM names it.
        features: features beyond the model's, and those it lacks: `+avx512f,-avx`; may be empty.
    """

    triple: str
    cpu: str
    features: str = ""

    @staticmethod
    def host() -> "HostMachine":
        """This machine, with all it has."""
        machine = _processor()
        return machine if may_use_tiles() else machine.without("amx")

    def without(self, *prefixes: str) -> "HostMachine":
        """The machine as if it had no feature whose name starts so: `amx`, `avx512`."""
        parts = self.features.split(",")
        kept = [f"-{part[1:]}" if part[1:].startswith(prefixes) else part for part in parts]
        return replace(self, features=",".join(kept))

    @staticmethod
    def baseline() -> "HostMachine":
        """The oldest processor of this machine's architecture: for code that runs elsewhere."""
        _initialise()
        return HostMachine(
            llvm.get_default_triple(), "x86-64" if "x86_64" in llvm.get_default_triple() else "generic"
        )

    @property
    def key(self) -> str:
        """All that machine code depends on besides its source."""
        return "|".join([self.triple, self.cpu, self.features, llvmlite.__version__, str(OPTIMISATION_LEVEL)])


@cache
def _processor() -> HostMachine:
    """This machine's processor; it takes LLVM some milliseconds to find its features."""
    _initialise()
    features: str = llvm.get_host_cpu_features().flatten()
    return HostMachine(llvm.get_default_triple(), llvm.get_host_cpu_name(), features)


def optimised(text: str, machine: HostMachine) -> str:
    """LLVM text after the passes of level 3.

    Raises:
        CpuError: if LLVM does not know the machine.
    """
    return str(_optimise(text, target_machine(machine)))


def object_code(text: str, machine: HostMachine) -> bytes:
    """A relocatable object file of LLVM text.

    Raises:
        CpuError: if LLVM does not know the machine.
    """
    target = target_machine(machine)
    code: bytes = target.emit_object(_optimise(text, target))
    return code


def assembly_text(text: str, machine: HostMachine) -> str:
    """The machine code of LLVM text, as assembler text."""
    target = target_machine(machine)
    code: str = target.emit_assembly(_optimise(text, target))
    return code


def load_code(code: bytes, machine: HostMachine) -> llvm.ExecutionEngine:
    """An engine with the functions of an object file, whose references this process resolves."""
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(machine))
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def target_machine(machine: HostMachine) -> llvm.TargetMachine:
    """LLVM's code generator for a machine; its code may lie anywhere.

    Raises:
        CpuError: if LLVM does not know it.
    """
    _initialise()
    try:
        target = llvm.Target.from_triple(machine.triple)
    except RuntimeError:
        raise CpuError(f"the triple must be one of this build of LLVM, not {machine.triple!r}") from None
    return target.create_target_machine(
        cpu=machine.cpu, features=machine.features, opt=OPTIMISATION_LEVEL, reloc="pic", codemodel="small"
    )


def _optimise(text: str, target: llvm.TargetMachine) -> llvm.ModuleRef:
    """The module after the passes; after few, where the result is none: LLVM 22 puts uses before values."""
    for level in (OPTIMISATION_LEVEL, _SAFE_LEVEL):
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = target.triple, str(target.target_data)
        module.verify()
        options = llvm.create_pipeline_tuning_options(speed_level=level)
        options.loop_vectorization = options.slp_vectorization = level == OPTIMISATION_LEVEL
        # Schedules and micro-kernels write out what is worth it; more takes LLVM several times as long.
        options.loop_unrolling = False
        builder = llvm.create_pass_builder(target, options)
        builder.getModulePassManager().run(module, builder)
        if _is_sound(module):
            return module
    raise CpuError("LLVM must keep its own rules, and does not at any level: simplify the function")


def _is_sound(module: llvm.ModuleRef) -> bool:
    try:
        module.verify()
    except RuntimeError:
        return False
    return True


@cache
def may_use_tiles() -> bool:
    """Ask the system once for the tile registers of AMX, which a process must before it uses them."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return False
    system_call = ctypes.CDLL(None).syscall
    return bool(system_call(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0)


@cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
