# SPDX-License-Identifier: MIT
"""Executor: concurrent.futures over the nodes of a channel."""

from __future__ import annotations

import itertools
import os
import threading
import time
import types
import weakref
from collections import deque
from concurrent import futures
from queue import Empty, SimpleQueue
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    Optional,
    Sequence,
    Sized,
    Tuple,
    TypeVar,
    cast,
)

from understudy import _chunks, _context, _window
from understudy._client import beside
from understudy._held import HeldJob
from understudy._options import DEFAULT_CHANNEL, make_options
from understudy._window import Window
from understudy.decorators import BoundDecorated, Decorated
from understudy.exceptions import (
    InvalidArgument,
    JobRunning,
    PayloadTooLarge,
    SerializationError,
    UnderstudyError,
    WaitTimeout,
)

if TYPE_CHECKING:
    from understudy._call import Caller
    from understudy._client import Job
    from understudy._result import Result

R = TypeVar("R")

# How far map() goes ahead of whoever takes its values where an iterable may be endless.
_AHEAD = 1000
_PRUNE_AT = 1024
_PLAIN = (types.FunctionType, types.BuiltinFunctionType)  # which bring no packages
_RUNNING = JobRunning.code  # what Job.code says before the end
_ANSWER_SECONDS = 5.0  # a broker's answer to a cancel


class Executor(futures.Executor):
    """Executor("calculator", packages=["numpy"]).submit(function, *args).

    Takes the keywords of the decorator. Any callable goes: functions of modules by
    name, lambdas, closures and what lives in __main__ by value. A decorated function
    brings its packages along and runs on the executor's channel.

    max_workers=N: at most N of its jobs are sent at a time. The others wait in this
    program, UNSENT, so they are lost if it is killed; its end waits for them. Without
    it all jobs are sent at once, and the nodes take them as they have room.
    """

    def __init__(
        self,
        channel: str = DEFAULT_CHANNEL,
        *,
        max_workers: Optional[int] = None,
        **keywords: Any,
    ) -> None:
        if keywords.get("block"):
            raise InvalidArgument(
                "an Executor gives futures; block=True has no meaning"
            )
        self._options = make_options(channel, **keywords)
        self._limit = _limit("max_workers", max_workers)
        self._window = None if self._limit is None else Window(self._limit)
        self._lock = threading.Lock()
        # Not the Results: their values are their owners'.
        self._pending: Deque[Tuple[Job, weakref.ref[Result[Any]]]] = deque()
        self._prune_at = _PRUNE_AT
        self._callers: Dict[Tuple[Any, ...], Caller] = {}
        self._closed = False

    @property
    def _max_workers(self) -> int:
        """For tools that ask a pool how wide it is: max_workers, or else the slots of
        the nodes that listen on the channel now."""
        return self._limit or self._slots() or os.cpu_count() or 1

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Result[R]:
        """A Result, at once. RuntimeError after shutdown() and at the program's end;
        what cannot be serialised is the exception of the Result, a SerializationError
        (a pickle.PicklingError) or PayloadTooLarge. BrokerUnreachable."""
        return self._submit(fn, fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: Optional[float] = None,
        chunksize: int = 1,
        return_exceptions: bool = False,
        buffersize: Optional[int] = None,
    ) -> Iterator[R]:
        """The values in order, each let go of as it is taken.

        Jobs are submitted at once, all of them where the iterables know their length;
        otherwise, so that endless ones work, at most buffersize=1000 are ahead of
        whoever takes the values. chunksize=N: N items make one job, which pays where
        they take less than a millisecond; the first exception ends its chunk.
        return_exceptions=True: exceptions are values; otherwise the first one raises.
        timeout: in seconds, from this call on; TimeoutError."""
        jobs = self._start(
            fn, iterables, timeout, chunksize, return_exceptions, buffersize
        )
        return jobs.in_order()

    def map_unordered(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: Optional[float] = None,
        chunksize: int = 1,
        return_exceptions: bool = False,
        buffersize: Optional[int] = None,
    ) -> Iterator[R]:
        """As map(), with each value as soon as it is there."""
        jobs = self._start(
            fn, iterables, timeout, chunksize, return_exceptions, buffersize
        )
        return jobs.as_completed()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more jobs. wait=True: until all have ended. cancel_futures=True:
        takes back what has not started."""
        self._closed = True
        with self._lock:
            pending = list(self._pending)
        if cancel_futures:
            # What is held is the newest, and must not be sent meanwhile.
            for job, reference in reversed(pending):
                if job.code == _RUNNING:
                    _try_to_cancel(job, reference())
        if wait:
            for job, _ in pending:
                beside(job.wait, None)
            self._pending.clear()

    async def __aenter__(self) -> Executor:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """Waits for all jobs without blocking the event loop."""
        from understudy._aio import in_thread

        await in_thread(self.shutdown)

    # --- submitting -------------------------------------------------------------------

    def _submit(
        self, fn: Any, runs: Any, args: Tuple[Any, ...], kwargs: Dict[str, Any]
    ) -> Result[Any]:
        """fn: what the user gave, whose packages count. runs: what is called."""
        if _context.in_worker:
            raise UnderstudyError("an Executor cannot be used inside a job")
        if self._closed:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if _window.interpreter_ends:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        caller = self._callers.get(()) if type(fn) in _PLAIN else None
        if caller is None:
            caller = self._caller(fn)
            runs, args = caller.unbound(runs, args)
        if self._window is not None:
            return self._submit_within(self._window, caller, runs, args, kwargs)
        try:
            result = caller.submit(runs, args, kwargs)
        except (SerializationError, PayloadTooLarge) as error:
            return caller.failed(runs, error)
        self._note(result)
        return result

    def _submit_within(
        self,
        window: Window,
        caller: Caller,
        runs: Any,
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
    ) -> Result[Any]:
        result, send = caller.hold(runs, args, kwargs)
        job = cast(HeldJob, result._job)
        if job.error is not None:
            return result
        client = result._client
        if caller.must_not_block():
            self._note(result)
            caller.when_connected(job, lambda: window.add(client, job, send))
            return result
        try:
            caller.client()
        except UnderstudyError:
            job.cancel(0, 0)  # whose Result nobody gets
            raise
        self._note(result)
        window.add(client, job, send)
        return result

    def _note(self, result: Result[Any]) -> None:
        entry = (result._job, weakref.ref(result))
        with self._lock:
            pending = self._pending
            # The new one is not asked whether it is done: that would wake the library's
            # thread to watch its job.
            while pending and pending[0][0].code != _RUNNING:
                pending.popleft()
            if len(pending) >= self._prune_at:
                pending = self._pending = deque(
                    entry for entry in pending if entry[0].code == _RUNNING
                )
                self._prune_at = 4 * len(pending) + _PRUNE_AT
            pending.append(entry)

    def _caller(self, fn: Any) -> Caller:
        """The Caller for a function: there is one for each set of packages that
        decorated functions bring."""
        function = fn.__func__ if isinstance(fn, BoundDecorated) else fn
        more = function._options if isinstance(function, Decorated) else None
        key = () if more is None else (more.packages, more.constraints, more.python)
        caller = self._callers.get(key)
        if caller is None:
            from understudy._call import Caller  # needs _core, which nodes lack

            options = self._options
            if more is not None:
                options = options._replace(
                    packages=_joined(options.packages, more.packages),
                    constraints=_joined(options.constraints, more.constraints),
                    python=options.python or more.python,
                )
            with self._lock:
                caller = self._callers.setdefault(key, Caller(options))
        return caller

    def _slots(self) -> int:
        from understudy._call import Caller

        try:
            return Caller(self._options).slots()
        except UnderstudyError:
            return 0

    # --- map --------------------------------------------------------------------------

    def _start(
        self,
        fn: Callable[..., Any],
        iterables: Sequence[Iterable[Any]],
        timeout: Optional[float],
        chunksize: int,
        return_exceptions: bool,
        buffersize: Optional[int],
    ) -> _Mapped:
        if not callable(fn):
            raise TypeError(f"{fn!r} is not callable")
        size = _limit("chunksize", chunksize) or 1
        ahead = _limit("buffersize", buffersize)
        if ahead is None and not all(isinstance(one, Sized) for one in iterables):
            ahead = _AHEAD
        deadline = None if timeout is None else time.monotonic() + timeout
        runs = _chunks.run_chunk_to_end if return_exceptions else _chunks.run_chunk

        def start() -> Iterator[Tuple[Result[Any], int]]:
            for chunk in _chunked(zip(*iterables), size):
                if size == 1:
                    yield self._submit(fn, fn, chunk[0], {}), 0
                else:
                    yield self._submit(fn, runs, (fn, chunk), {}), len(chunk)

        return _Mapped(start(), ahead, deadline, return_exceptions)


class _Mapped:
    """The jobs of one map(), each with its number of items, 0 where it is no chunk.
    Keeps no Result whose value has been taken."""

    def __init__(
        self,
        jobs: Iterator[Tuple[Result[Any], int]],
        ahead: Optional[int],
        deadline: Optional[float],
        return_exceptions: bool,
    ) -> None:
        self._jobs = jobs
        self._deadline = deadline
        self._return_exceptions = return_exceptions
        self._started = deque(itertools.islice(jobs, ahead))

    def in_order(self) -> Iterator[Any]:
        try:
            while self._started:
                self._started[0][0]._await_end(self._left())
                values = self._values(*self._started.popleft())
                self._started.extend(itertools.islice(self._jobs, 1))
                while values:
                    yield values.pop()
        finally:
            self._cancel(result for result, _ in self._started)

    def as_completed(self) -> Iterator[Any]:
        ended: SimpleQueue[Result[Any]] = SimpleQueue()
        running: Dict[Result[Any], int] = {}
        try:
            while self._started or running:
                while self._started:
                    result, items = self._started.popleft()
                    running[result] = items
                    result.add_done_callback(cast("Callable[[Any], None]", ended.put))
                try:
                    result = ended.get(timeout=self._left())
                except Empty:
                    raise WaitTimeout(f"{len(running)} jobs have not ended") from None
                values = self._values(result, running.pop(result))
                del result
                self._started.extend(itertools.islice(self._jobs, 1))
                while values:
                    yield values.pop()
        finally:
            self._cancel(running)

    def _values(self, result: Result[Any], items: int) -> List[Any]:
        """Those of one job, the last one first."""
        error = result._error()
        if error is None:
            value = result.result(0)
            if not items:
                return [value]
            ends = reversed(value)
            return [end[1] for end in ends] if self._return_exceptions else [*ends]
        if self._return_exceptions and isinstance(error, Exception):
            return [error] * (items or 1)
        try:
            raise error
        finally:
            del error, result

    def _left(self) -> Optional[float]:
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - time.monotonic())

    def _cancel(self, results: Iterable[Result[Any]]) -> None:
        for result in results:
            if not result.done():
                _try_to_cancel(result._job, result)


def _chunked(
    calls: Iterator[Tuple[Any, ...]], size: int
) -> Iterator[List[Tuple[Any, ...]]]:
    while chunk := list(itertools.islice(calls, size)):
        yield chunk


def _limit(name: str, number: Optional[int]) -> Optional[int]:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name}={number!r} is not a whole number")
    if number < 1:
        raise InvalidArgument(f"{name}={number}: {name} must be greater than 0")
    return number


def _joined(mine: Tuple[str, ...], more: Tuple[str, ...]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys((*mine, *more)))


def _try_to_cancel(job: Job, result: Optional[Result[Any]]) -> None:
    try:
        if result is None:  # its owner has dropped it
            beside(job.cancel, 0, _ANSWER_SECONDS)
        else:
            result.cancel()
    except WaitTimeout:
        pass  # no broker answers now; shutdown(wait=True) waits for the job itself
