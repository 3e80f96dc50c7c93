"""Memory that kernels work in, kept from call to call: a system that takes pages back clears them anew.

A block is as large as its number, in front of what is handed out, says. A process keeps `SLOTS` of them.
"""

from functools import cache

from llvmlite import binding as llvm

from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.machine import HostMachine, load_code, object_code

SLOTS = 16
ALLOCATE_FUNCTION, RELEASE_FUNCTION = "tilewright_allocate", "tilewright_release"
"""ptr (bytes), a multiple of 64, aligned to 64 and not cleared; void (ptr)."""
_HEADER_BYTES = 64

_TEXT = f"""
@slots = internal global [{SLOTS} x ptr] zeroinitializer, align 64

declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)
declare void @abort()

; A block that nobody uses: of at most twice the bytes if there is one, else a larger one, else a new one.
define ptr @{ALLOCATE_FUNCTION}(i64 %bytes) {{
entry:
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %next, %more ]
  %in = icmp ult i64 %i, {2 * SLOTS}
  br i1 %in, label %take, label %fresh
take:
  %place = urem i64 %i, {SLOTS}
  %slot = getelementptr [{SLOTS} x ptr], ptr @slots, i64 0, i64 %place
  %block = atomicrmw xchg ptr %slot, ptr null acq_rel
  %none = icmp eq ptr %block, null
  br i1 %none, label %more, label %check
check:
  %has = load i64, ptr %block
  %enough = icmp uge i64 %has, %bytes
  %half = lshr i64 %has, 1
  %near = icmp ule i64 %half, %bytes
  %any = icmp uge i64 %i, {SLOTS}
  %good = or i1 %near, %any
  %fits = and i1 %enough, %good
  br i1 %fits, label %found, label %back
back:
  call void @put(ptr %block)
  br label %more
more:
  %next = add i64 %i, 1
  br label %look
found:
  %data = getelementptr i8, ptr %block, i64 {_HEADER_BYTES}
  ret ptr %data
fresh:
  %whole = add i64 %bytes, {_HEADER_BYTES}
  %new = call ptr @aligned_alloc(i64 {_HEADER_BYTES}, i64 %whole)
  %missing = icmp eq ptr %new, null
  br i1 %missing, label %end, label %made
end:
  call void @abort()
  unreachable
made:
  store i64 %bytes, ptr %new
  %first = getelementptr i8, ptr %new, i64 {_HEADER_BYTES}
  ret ptr %first
}}

; Into the first slot that is free, or in the place of the block of the first one.
define internal void @put(ptr %block) {{
entry:
  br label %look
look:
  %i = phi i64 [ 0, %entry ], [ %next, %more ]
  %in = icmp ult i64 %i, {SLOTS}
  br i1 %in, label %try, label %full
try:
  %slot = getelementptr [{SLOTS} x ptr], ptr @slots, i64 0, i64 %i
  %pair = cmpxchg ptr %slot, ptr null, ptr %block acq_rel monotonic
  %done = extractvalue {{ ptr, i1 }} %pair, 1
  br i1 %done, label %end, label %more
more:
  %next = add i64 %i, 1
  br label %look
full:
  %old = atomicrmw xchg ptr @slots, ptr %block acq_rel
  call void @free(ptr %old)
  br label %end
end:
  ret void
}}

define void @{RELEASE_FUNCTION}(ptr %data) {{
  %block = getelementptr i8, ptr %data, i64 -{_HEADER_BYTES}
  call void @put(ptr %block)
  ret void
}}
"""


def scratch_text() -> str:
    """The functions as LLVM text."""
    return _TEXT


def install_scratch(store: ObjectStore) -> None:
    """Give this process the memory that its compiled functions ask for. It stays until the process ends.

    Args:
        store: has the code, or gets it.
    """
    machine = HostMachine.host()
    _install(store.cached(lambda: object_code(_TEXT, machine), _TEXT, machine.key), machine)


@cache
def _install(code: bytes, machine: HostMachine) -> None:
    engine = load_code(code, machine)
    for name in (ALLOCATE_FUNCTION, RELEASE_FUNCTION):
        llvm.add_symbol(name, engine.get_function_address(name))
    # Functions that were compiled call it until the process is gone.
    engine.detach()
