"""Functions of the IR as machine code of the host: fused kernels, one arena, and a plan that runs them."""

from tilewright.compiler.targets.cpu.host.program import HostProgram, compile_host

__all__ = ["HostProgram", "compile_host"]
