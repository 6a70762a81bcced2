"""A second thread for work that comes alone while another core is to spare. Imported where numba is there.

It waits in compiled code and needs nothing of Python, so that no request that is being read holds it
up. Two threads at one recurrence wait for each other at each step; whoever waits gives way to other
threads before long, so that two on one core take no longer than one of them would.
"""

import ctypes
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from shared.nn.kernels.compiled import compiled, torch_library

TRIES = 100_000  # a third of a millisecond
LINE = 16  # numbers of 8 bytes from one part's count of steps to the next: never in one cache line
SPINS = 2000  # looks at a count, some microseconds, before the core is offered to others
Ints = NDArray[np.int64]


@intrinsic
def _count_of(_: Any, counts: Any, place: Any) -> Any:
    """counts[place], and all that was written before it was set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(counts.data, [arguments[1]]), "acquire", 8)

    return types.int64(counts, place), generate


@intrinsic
def _set_count(_: Any, counts: Any, place: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts = context.make_array(signature.args[0])(context, builder, arguments[0])
        builder.store_atomic(arguments[2], builder.gep(counts.data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(counts, place, types.int64), generate


@intrinsic
def _give_way(_: Any) -> Any:
    """Let another thread have this core."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        give_way = cgutils.get_or_insert_function(builder.module, kind, "sched_yield")  # type: ignore[no-untyped-call]
        builder.call(give_way, [])
        return context.get_dummy_value()

    return types.void(), generate


def _semaphore_call(name: str) -> Any:
    @intrinsic
    def call(_: Any, semaphore: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], cgutils.voidptr_t)
            kind = ir.FunctionType(ir.IntType(32), [cgutils.voidptr_t])
            function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
            return builder.call(function, [pointer])

        return types.int32(types.int64), generate

    return call


_sem_wait, _sem_trywait = _semaphore_call("sem_wait"), _semaphore_call("sem_trywait")


@compiled
def wait_for_order(semaphore: int) -> None:
    """Awake for some hundred microseconds, in which the next layer may have one; then asleep."""
    for _ in range(TRIES):
        if _sem_trywait(semaphore) == 0:
            return
    while _sem_wait(semaphore) != 0:
        pass  # a signal came first


def _pointers(kind: Any) -> Any:
    @intrinsic
    def pointer(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), generate  # type: ignore[no-untyped-call]

    return pointer


ints_at, floats_at = _pointers(types.int64), _pointers(types.float32)
"""Where an address points to; for `numba.carray` in compiled loops."""


@compiled
def wait_for(counts: Any, first: int, last: int, step: int) -> None:
    """Until all parts but first to last have taken so many steps."""
    for part in range(counts.shape[0] // LINE):
        spins = 0
        while (part < first or part >= last) and _count_of(counts, part * LINE) < step:  # type: ignore[call-arg]
            spins += 1
            if spins > SPINS:
                _give_way()  # type: ignore[call-arg]


@compiled
def tell(counts: Any, first: int, last: int, step: int) -> None:
    """That parts first to last have taken so many steps."""
    for part in range(first, last):
        _set_count(counts, part * LINE, step)  # type: ignore[call-arg]


def new_counts(num_parts: int) -> Ints:
    return np.zeros(num_parts * LINE, np.int64)


class Second:
    """The thread that lies ready, for one caller at a time.

    Its core is chosen at each order: Linux tends to wake a thread where its waker runs, and leaves
    the two on one core for several milliseconds.
    """

    def __init__(self, serve: Any) -> None:
        """`serve(semaphore, order)`, compiled, sleeps until it is posted, obeys the order, and so on."""
        self.serve = serve
        self._lock = threading.Lock()
        self._order: Ints = np.zeros(ORDER, np.int64)
        self._semaphore = ctypes.create_string_buffer(SEMAPHORE_BYTES)
        self._thread_id = self._process_id = 0

    @contextmanager
    def at_work(self, order: Sequence[int], counts: Ints, step: int) -> Iterator[bool]:
        """Have it obey an order meanwhile, to the end: until its parts, the second half, have taken so
        many steps. False where it works for somebody else."""
        if not self._lock.acquire(blocking=False):
            yield False
            return
        openmp = torch_library()
        num_threads = openmp.omp_get_max_threads()
        openmp.omp_set_num_threads(1)  # of this thread: a third one would only be in the way
        half = len(counts) // LINE // 2
        try:
            self._begin(order)
            try:
                yield True
            finally:  # it has to be through before its arrays may go, whatever became of the first half
                tell(counts, 0, half, step)
                wait_for(counts, 0, half, step)
        finally:
            openmp.omp_set_num_threads(num_threads)
            self._lock.release()

    def _begin(self, order: Sequence[int]) -> None:
        if self._process_id != os.getpid():  # a forked process has no threads of its parent
            self._start()
        others = os.sched_getaffinity(0) - {_libc().sched_getcpu()}
        if others:
            with suppress(OSError):  # the cores that are allowed may change at any time
                os.sched_setaffinity(self._thread_id, others)
        self._order[: len(order)] = order
        _libc().sem_post(self._semaphore)

    def warm(self) -> None:
        """Compile what it waits in."""
        self.serve.compile((types.int64, types.int64[::1]))

    def _start(self) -> None:
        self.warm()
        _libc().sem_init(self._semaphore, 0, 0)
        thread = threading.Thread(target=self._work, name="second", daemon=True)
        thread.start()
        self._thread_id, self._process_id = thread.native_id or 0, os.getpid()

    def _work(self) -> None:
        torch_library().omp_set_num_threads(1)  # as above
        self.serve(ctypes.addressof(self._semaphore), self._order)


SEMAPHORE_BYTES = 32  # of glibc's sem_t on a machine of 64 bits
ORDER = 32  # numbers


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
