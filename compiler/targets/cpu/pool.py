"""The threads that parallel loops run on: resident, waiting, one pool in a process or in a shared library.

A call hands out ranges of iterations by an atomic counter, to the workers and to the caller itself, and
returns when all iterations are done: a worker that wakes too late finds none. The counter has the number of
the call in its upper bits, so that such a worker takes nothing of the next call either. A worker looks for
work some hundred microseconds long before it sleeps. A call from inside of another one, or while another
thread's runs, does all of its iterations itself.
"""

import os
from functools import cache

from llvmlite import binding as llvm

from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.machine import HostMachine, load_code, object_code
from tilewright.compiler.targets.cpu.outline import POOL_FUNCTION

THREADS_MAXIMUM = 64
SPINS = 1 << 18
"""The number of polls before a worker sleeps: waking it takes as long as a small layer."""
JOIN_SPINS = 1 << 14
"""The number of polls before the caller yields its processor, to a worker perhaps."""
SHARES_PER_THREAD = 2
"""A range is what is left over threads times this: few ranges, small ones at the end, when others wait."""


def processors() -> int:
    """The threads that share a parallel loop on this machine: one for each processor, up to a limit."""
    return min(os.sysconf("SC_NPROCESSORS_ONLN"), THREADS_MAXIMUM)


def pool_text() -> str:
    """The pool as LLVM text: defines `tilewright_parallel`; needs pthread of the C library."""
    return _TEXT


def install_pool(store: ObjectStore) -> None:
    """Give this process the pool that its compiled functions call. It stays until the process ends.

    Args:
        store: has its code, or gets it.
    """
    machine = HostMachine.host()
    _install(store.cached(lambda: object_code(pool_text(), machine), pool_text(), machine.key), machine)


@cache
def _install(code: bytes, machine: HostMachine) -> None:
    engine = load_code(code, machine)
    llvm.add_symbol(POOL_FUNCTION, engine.get_function_address(POOL_FUNCTION))
    # Workers run in this code until the process is gone, and must not see it unmapped.
    engine.detach()


_SC_NPROCESSORS_ONLN = 84
_INDEX_BITS = 40
"""Of the counter; the others number the call, as far as they go."""
_CALLS = 1 << (64 - _INDEX_BITS)

# Synchronisation objects are zeros, as the static initialisers of C libraries on Linux have them; 64 bytes
# hold either of them.
_TEXT = f"""
@busy = internal global i32 0, align 64
@generation = internal global i64 0, align 64
@finished = internal global i64 0, align 64
@next = internal global i64 0, align 64
@workers = internal global i64 0
@owner = internal global i32 0
@body = internal global ptr null
@environment = internal global ptr null
@extent = internal global i64 0
@shares = internal global i64 1
@mutex = internal global [64 x i8] zeroinitializer, align 64
@wake = internal global [64 x i8] zeroinitializer, align 64

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(i64)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i64 @sysconf(i32)
declare i32 @getpid()
declare i32 @sched_yield()
declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)

; Does ranges of the call of that number while there are any.
define internal void @take(i64 %call) {{
entry:
  %body = load atomic ptr, ptr @body acquire, align 8
  %environment = load atomic ptr, ptr @environment acquire, align 8
  %extent = load atomic i64, ptr @extent acquire, align 8
  %shares = load atomic i64, ptr @shares acquire, align 8
  br label %look
look:
  %at = load atomic i64, ptr @next acquire, align 8
  %of = lshr i64 %at, {_INDEX_BITS}
  %number = and i64 %call, {_CALLS - 1}
  %current = icmp eq i64 %of, %number
  %begin = and i64 %at, {(1 << _INDEX_BITS) - 1}
  %left = sub i64 %extent, %begin
  %any = icmp sgt i64 %left, 0
  %more = and i1 %current, %any
  br i1 %more, label %claim, label %done
claim:
  %share = sdiv i64 %left, %shares
  %size = call i64 @llvm.smax.i64(i64 %share, i64 1)
  %end = add i64 %begin, %size
  %after = add i64 %at, %size
  %got = cmpxchg ptr @next, i64 %at, i64 %after acq_rel acquire
  %mine = extractvalue {{ i64, i1 }} %got, 1
  br i1 %mine, label %run, label %look
run:
  call void %body(ptr %environment, i64 %begin, i64 %end)
  %old = atomicrmw add ptr @finished, i64 %size release
  br label %look
done:
  ret void
}}

define internal ptr @work(ptr %seen_at_start) {{
entry:
  %first = ptrtoint ptr %seen_at_start to i64
  br label %idle
idle:
  %seen = phi i64 [ %first, %entry ], [ %seen, %spin ], [ %news, %finish ]
  %spins = phi i64 [ 0, %entry ], [ %spun, %spin ], [ 0, %finish ]
  %now.at = load atomic i64, ptr @generation acquire, align 8
  %changed = icmp ne i64 %now.at, %seen
  br i1 %changed, label %found, label %spin.check
spin.check:
  %tired = icmp sge i64 %spins, {SPINS}
  br i1 %tired, label %sleep, label %spin
spin:
  %spun = add i64 %spins, 1
  br label %idle
sleep:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %asleep
asleep:
  %at = load atomic i64, ptr @generation acquire, align 8
  %same = icmp eq i64 %at, %seen
  br i1 %same, label %wait, label %awake
wait:
  %woken = call i32 @pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %asleep
awake:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %found
found:
  %news = phi i64 [ %now.at, %idle ], [ %at, %awake ]
  call void @take(i64 %news)
  br label %finish
finish:
  br label %idle
}}

; Threads of a parent process do not exist in its child, which makes its own.
define internal void @start() {{
entry:
  %thread = alloca i64
  %pid = call i32 @getpid()
  %owner = load i32, ptr @owner
  %mine = icmp eq i32 %pid, %owner
  br i1 %mine, label %done, label %begin
begin:
  store i32 %pid, ptr @owner
  store i64 0, ptr @workers
  %online = call i64 @sysconf(i32 {_SC_NPROCESSORS_ONLN})
  %capped = call i64 @llvm.smin.i64(i64 %online, i64 {THREADS_MAXIMUM})
  br label %create
create:
  %made = load i64, ptr @workers
  %all = add i64 %made, 1
  %enough = icmp sge i64 %all, %capped
  br i1 %enough, label %done, label %one
one:
  %seen = load i64, ptr @generation
  %argument = inttoptr i64 %seen to ptr
  %error = call i32 @pthread_create(ptr %thread, ptr null, ptr @work, ptr %argument)
  %good = icmp eq i32 %error, 0
  br i1 %good, label %made.one, label %done
made.one:
  %id = load i64, ptr %thread
  %detached = call i32 @pthread_detach(i64 %id)
  store i64 %all, ptr @workers
  br label %create
done:
  ret void
}}

define void @{POOL_FUNCTION}(ptr %body, ptr %environment, i64 %extent) {{
entry:
  %several = icmp sgt i64 %extent, 1
  %countable = icmp slt i64 %extent, {1 << (_INDEX_BITS - 1)}
  %shared = and i1 %several, %countable
  br i1 %shared, label %claim, label %alone
claim:
  %got = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic
  %free = extractvalue {{ i32, i1 }} %got, 1
  br i1 %free, label %lead, label %alone
alone:
  %some = icmp sgt i64 %extent, 0
  br i1 %some, label %run, label %nothing
run:
  call void %body(ptr %environment, i64 0, i64 %extent)
  ret void
nothing:
  ret void
lead:
  call void @start()
  %workers = load i64, ptr @workers
  %threads = add i64 %workers, 1
  %shares = mul i64 %threads, {SHARES_PER_THREAD}
  ; A worker that is late with the last call must not take what is written now for its own.
  %last = load i64, ptr @generation
  %call = add i64 %last, 1
  %number = and i64 %call, {_CALLS - 1}
  %first = shl i64 %number, {_INDEX_BITS}
  %none = or i64 %first, {(1 << _INDEX_BITS) - 1}
  store atomic i64 %none, ptr @next seq_cst, align 8
  store atomic ptr %body, ptr @body release, align 8
  store atomic ptr %environment, ptr @environment release, align 8
  store atomic i64 %extent, ptr @extent release, align 8
  store atomic i64 %shares, ptr @shares release, align 8
  store i64 0, ptr @finished
  store atomic i64 %first, ptr @next release, align 8
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %old = atomicrmw add ptr @generation, i64 1 release
  %woken = call i32 @pthread_cond_broadcast(ptr @wake)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  call void @take(i64 %call)
  br label %join
join:
  %spins = phi i64 [ 0, %lead ], [ %spun, %again ]
  %through.so.far = load atomic i64, ptr @finished acquire, align 8
  %through = icmp eq i64 %through.so.far, %extent
  br i1 %through, label %done, label %again.check
again.check:
  %spun = add i64 %spins, 1
  %tired = icmp sge i64 %spins, {JOIN_SPINS}
  br i1 %tired, label %yield, label %again
yield:
  %yielded = call i32 @sched_yield()
  br label %again
again:
  br label %join
done:
  store atomic i32 0, ptr @busy release, align 4
  ret void
}}
"""
