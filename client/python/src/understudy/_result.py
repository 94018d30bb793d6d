# SPDX-License-Identifier: MIT
"""Result: the future of one job."""

from __future__ import annotations

import codecs
import contextlib
import functools
import gc
import hashlib
import sys
import threading
import time
import uuid as uuids
import warnings
from concurrent.futures import Future
from typing import (
    Any,
    Callable,
    Dict,
    Generator,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    cast,
)

from understudy import _buffers, _client, _envelope, _waiting
from understudy._aio import AsyncResult, in_thread
from understudy._client import Client, Job, beside, client_of
from understudy._options import trusts
from understudy._settings import Settings, check_channel, settings_for
from understudy.exceptions import (
    InvalidArgument,
    JobCancelled,
    JobEnded,
    JobRunning,
    SerializationError,
    UnderstudyError,
    WaitTimeout,
    _from_code,
)

T = TypeVar("T")

_NOT_ENDED = JobRunning.code  # what Job.code says before the end
_CHUNK = 65536
_ANSWER_SECONDS = 5.0  # a broker's answer to a cancel
_CTRL_C_SECONDS = 2.0
_LOG_SECONDS = 10.0  # to fetch the log of a job that has ended
_PEEK_SECONDS = 0.25  # to fetch what a running job has logged so far


class Result(Future[T]):
    """A concurrent.futures.Future of a job, awaitable, with the job's log and state.

    Result(uuid, …) opens a job that was submitted earlier or elsewhere; the keywords
    are those of the decorator that say where. JobNotFound comes from get(), check() and
    accepted(); channel=, if given, is checked at once.

    The base class's lock and event subscription are made only where they are needed
    (callbacks, concurrent.futures.wait and as_completed): whoever just calls result()
    waits in the C library.
    """

    _job: Job
    _client: Client
    _name: str
    _trust: bool
    _enders = 0  # threads that are inside cancel(), to which the end belongs
    _outcome: Optional[Tuple[Any, Optional[BaseException]]] = None
    _streaming: Tuple[bool, bool] = (False, False)
    # Of the base class, until _condition is asked for.
    _state = "PENDING"
    _generation = -1

    def __init__(
        self,
        uuid: Union[str, uuids.UUID],
        *,
        channel: Optional[str] = None,
        trust: str = "all",
        **where: Any,
    ) -> None:
        client = client_of(settings_for(Result.__init__, where))
        job_id = _parse(uuid)
        if channel is not None and job_id[-1] != _partition(channel):
            raise InvalidArgument(f"{uuid} is not the id of a job on {channel!r}")
        client.connect()
        self._set(client.core.open(job_id), client, str(uuid), trusts(trust))
        # Status and log speak of the job from the start; get() tells what is wrong.
        with contextlib.suppress(WaitTimeout):
            self._job.accepted(_ANSWER_SECONDS)

    def _set(self, job: Job, client: Client, name: str, trust: bool) -> None:
        self._job = job
        self._client = client
        self._name = name
        self._trust = trust

    @classmethod
    def _of(cls, job: Job, client: Client, name: str, trust: bool) -> Result[Any]:
        self = cls.__new__(cls)
        self._job = job
        self._client = client
        self._name = name
        self._trust = trust
        return self

    @classmethod
    async def aio_open(
        cls, uuid: Union[str, uuids.UUID], **keywords: Any
    ) -> Result[Any]:
        """Result(uuid, …) without blocking an event loop of asyncio."""
        return await in_thread(functools.partial(cls, uuid, **keywords))

    # --- what it is -------------------------------------------------------------------

    @property
    def uuid(self) -> str:
        """The job's id, with which Result(uuid) opens it elsewhere."""
        return str(uuids.UUID(bytes=self._job.id))

    @property
    def status(self) -> str:
        """UNSENT, QUEUED, LEASED, RUNNING, BACKOFF, or how it ended: SUCCEEDED, FAILED,
        CANCELLED, DEAD, EXPIRED, REFUSED."""
        return self._client.status_of(self._job)

    @property
    def info(self) -> dict[str, int]:
        """attempt, crashes, losses, submitted_ms, started_ms, ended_ms, log_len,
        build_len, dropped."""
        return self._job.info

    def __repr__(self) -> str:
        return f"<Result {self.uuid} {self._name} {self.status}>"

    def __bool__(self) -> bool:
        """Always true, and warns: it says nothing of the job's value."""
        warnings.warn(
            f"a Result is always true, whatever {self._name} gives; ask for the value "
            "with get(), or await it",
            RuntimeWarning,
            stacklevel=2,
        )
        return True

    def __reduce__(self) -> Any:
        return _reopen, (self.uuid, tuple(self._client.settings), self._trust)

    # --- waiting ----------------------------------------------------------------------

    def result(self, timeout: Optional[float] = None) -> T:
        """The value, or the job's exception. WaitTimeout (a TimeoutError) only ends the
        waiting, and so does Ctrl-C."""
        value, error = self._outcome or self._wait(timeout)
        if error is not None:
            try:
                raise error
            finally:
                del error, self  # no cycle through the traceback
        return cast(T, value)

    get = result

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        """The job's exception, or None where it succeeded. JobCancelled and WaitTimeout
        are raised, as by the futures of the standard library."""
        error = (self._outcome or self._wait(timeout))[1]
        if isinstance(error, JobCancelled) and self.cancelled():
            raise error
        return error

    def _await_end(self, timeout: Optional[float]) -> None:
        patience = _waiting.PATIENCE
        if timeout is not None and timeout < patience:
            patience = timeout
        if self._has_ended(patience):
            return
        end = None if timeout is None else time.monotonic() + timeout - patience
        notice = _waiting.Notice(self)
        while end is None or time.monotonic() < end:
            if self._has_ended(_sooner(notice.look(), end)):
                return
        raise WaitTimeout(self._still(timeout))

    def why(self) -> str:
        """What the job waits for, in a sentence: that no node listens on its channel,
        that all slots are busy, on which node it is. BrokerUnreachable or WaitTimeout
        where the broker does not say."""
        return str(self._reason().get("text", ""))

    def _reason(self) -> Dict[str, Any]:
        status = self.status
        if self.done():
            return {"why": "ended", "text": f"it has ended: {status}"}
        if status == "UNSENT":
            trouble = _waiting.trouble(self._client)
            return {"why": "unsent", "text": f"it has not been accepted yet: {trouble}"}
        return _waiting.ask(self._client, self._job.id)

    def _has_ended(self, timeout: Optional[float]) -> bool:
        if not _client.is_green() or self.done():
            return self._job.wait(timeout)
        ended = threading.Event()
        self.add_done_callback(lambda _: ended.set())
        ended.wait(timeout)
        return self.done()

    def _error(self) -> Optional[BaseException]:
        return (self._outcome or self._wait(None))[1]

    def check(self) -> Optional[T]:
        """None while it is pending, then the value or the job's exception."""
        return self.result(0) if self.done() else None

    def accepted(self, timeout: Optional[float] = None) -> bool:
        """Waits until the job is on the broker's disk; raises why it was refused."""
        code = beside(self._job.accepted, timeout)
        if code:
            self._outcome = self._outcome or self._wait(0)  # it has been looked at
            raise _from_code(code, self._job.text)
        return True

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._job.code != _NOT_ENDED

    def running(self) -> bool:
        """Whether a node has said that it runs."""
        return self.status == "RUNNING"

    def cancelled(self) -> bool:
        """Whether it has ended because somebody cancelled or interrupted it."""
        return self.status == "CANCELLED"

    def __await__(self) -> Generator[Any, None, T]:
        """Cancelling the task that waits does not cancel the job."""
        if not self.done():
            import asyncio

            loop = asyncio.get_running_loop()
            waiter = loop.create_future()

            def wake(_: Any) -> None:
                try:
                    loop.call_soon_threadsafe(_set, waiter)
                except RuntimeError:
                    pass  # that loop has ended, and with it whoever waited

            self.add_done_callback(wake)
            yield from waiter
        return self.result(0)

    def _wait(self, timeout: Optional[float]) -> Tuple[Any, Optional[BaseException]]:
        self._await_end(timeout)
        # Two threads may both decode; both then see the same objects. What has been
        # decoded is not kept a second time, as bytes.
        outcome = self.__dict__.setdefault("_outcome", self._decode())
        self._job.drop_body()
        return cast("Tuple[Any, Optional[BaseException]]", outcome)

    def _still(self, timeout: Optional[float]) -> str:
        status = self.status
        text = f"{self._name} has not ended after {timeout} s: it is {status}"
        if timeout is None or timeout < _waiting.PATIENCE:
            return text  # whoever polls does not want to wait for words
        with contextlib.suppress(UnderstudyError):
            text += f"; {self.why()}"
        return text

    def _decode(self) -> Tuple[Any, Optional[BaseException]]:
        job = self._job
        code, body = job.code, job.body
        if self._outcome is not None:  # by another thread, which dropped the body
            return self._outcome
        if code:
            held = getattr(job, "error", None)  # where it ended without being sent
            if held is not None:
                return None, held
            from understudy import _failures  # which needs cloudpickle

            return None, _failures.rebuild(body, code, job.text, self._trust)
        try:
            loads = _load_pickle if self._trust else _refuse_pickle
            buffers = job.buffers if _envelope.has_buffers(body) else ()
            return _envelope.decode_value(body, loads, "result", buffers), None
        except UnderstudyError as error:
            return None, error
        except (Exception, SystemExit) as error:
            problem = SerializationError(
                f"the result of {self._name} cannot be loaded here: "
                f"{type(error).__name__}: {error}"
            )
            problem.__cause__ = error
            return None, problem

    # --- ending it --------------------------------------------------------------------

    def cancel(self) -> bool:
        """Takes back what has not started. True: it will not run, and its callbacks
        have been called, in this thread. False: it runs or has ended.

        Inside a running event loop it only asks, so as not to block the loop: it gives
        False, and the Result ends later if the job can be taken back. `await
        result.aio.cancel()` waits there for the answer. WaitTimeout: no broker
        answers."""
        if _client.in_event_loop():
            return self._ask_only(0)
        with self._client.lock:
            self._enders += 1
        try:
            code, _ = self._ask_to_end(0, _ANSWER_SECONDS)
            if code == 0:  # its end is on the way: from the broker, or the node it told
                beside(self._job.wait, _ANSWER_SECONDS)
        finally:
            with self._client.lock:
                self._enders -= 1
            # The thread of events has left an end that came meanwhile to this one.
            if self.done():
                self._tell_end_if_asked()
        return self.cancelled()

    def interrupt(self) -> bool:
        """Also ends what runs. True: it has been told, or will not run; False: it had
        ended. Wait for the end with result(), see how it ended in status. Inside a
        running event loop it only asks, as cancel() does."""
        if _client.in_event_loop():
            return self._ask_only(1)
        code, _ = self._ask_to_end(1, _ANSWER_SECONDS)
        return code == 0 or self.cancelled()

    def _ask_only(self, mode: int) -> bool:
        """Whether it has been cancelled: what was not even sent can be at once."""
        if not self.done():
            return self._job.cancel(mode, 0)[0] == 0
        self._tell_end_if_asked()
        return self.cancelled()

    def _ask_to_end(self, mode: int, timeout: float) -> Tuple[int, int]:
        code, state = beside(self._job.cancel, mode, timeout)
        if code not in (0, JobEnded.code, JobRunning.code):
            raise _from_code(code, self._job.text)
        return code, state

    @property
    def aio(self) -> AsyncResult[T]:
        """get, accepted, cancel, interrupt, log and stream_log as coroutines, for
        programs with an event loop of asyncio; plain waiting is `await result`."""
        return AsyncResult(self)

    # --- its log ----------------------------------------------------------------------

    @property
    def log(self) -> str:
        """What the job has written so far, all of it once it has ended; without the
        newline at the end."""
        job = self._job
        if self.status in ("UNSENT", "QUEUED"):
            return ""
        first = not self._streaming[0]
        self._stream(0)
        ended = self.done()
        wait = _LOG_SECONDS if ended else _PEEK_SECONDS if first else 0.0
        parts: List[bytes] = []
        offset = 0
        while True:
            part = beside(job.read_log, 0, offset, _CHUNK, wait)
            if not part:
                if part is None and ended:
                    raise WaitTimeout(f"the log of {self._name} did not come")
                break
            parts.append(part)
            offset += len(part)
            wait = wait if ended else 0.0
        text = b"".join(parts).decode(errors="replace")
        return text[:-1] if text.endswith("\n") else text

    def stream_log(
        self, *, build: bool = False, timeout: Optional[float] = None
    ) -> Iterator[str]:
        """Lines of the log from its beginning, as they are written, until the job has
        ended. build=True: those of the build of its environment instead. timeout: the
        longest wait for more; WaitTimeout then."""
        rest = ""
        for text in self._texts(1 if build else 0, timeout):
            *lines, rest = (rest + text).split("\n")
            yield from lines
        if rest:
            yield rest

    def _stream(self, stream: int) -> None:
        if not self._streaming[stream]:
            self._job.stream_log(stream)
            log, build = self._streaming
            self._streaming = (log or stream == 0, build or stream == 1)

    def _texts(self, stream: int, timeout: Optional[float]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        offset = 0
        self._stream(stream)
        while True:
            data = beside(self._job.read_log, stream, offset, _CHUNK, timeout)
            if data is None:
                raise WaitTimeout(f"{self._name} has logged nothing for {timeout} s")
            offset += len(data)
            text = decoder.decode(data, final=not data)
            if text:
                yield text
            if not data:
                return

    def _block(self) -> T:
        """Waits, with the log on the standard output of the moment. Ctrl-C cancels the
        job."""
        try:
            for text in self._texts(0, None):
                sys.stdout.write(text)
                sys.stdout.flush()
            return self.result()
        except KeyboardInterrupt:
            _interrupt_all([self])
            raise

    # --- the base class's machinery ---------------------------------------------------

    @property
    def _condition(self) -> threading.Condition:
        """Made when somebody first needs to be told; events then come in a thread."""
        if self._generation != _client.generation:
            self._materialise()
        return cast(threading.Condition, self.__dict__["_own_condition"])

    @_condition.setter
    def _condition(self, condition: threading.Condition) -> None:
        self.__dict__["_own_condition"] = condition

    def _materialise(self) -> None:
        with self._client.lock:
            if self._generation == _client.generation:
                return
            state = self._state
            waiters = self.__dict__.get("_waiters", [])
            callbacks = self.__dict__.get("_done_callbacks", [])
            super().__init__()  # sets the state and these lists anew; _condition: below
            self._state = state
            self._waiters = waiters
            self._done_callbacks = callbacks
            self._generation = _client.generation
        if self.done():
            self._on_end()
        else:
            self._client.subscribe(self._job, self)

    def add_done_callback(self, fn: Callable[[Future[T]], object]) -> None:
        """Calls fn(result) once the job has ended, at once where it has. Callbacks run
        in one thread of the package, or in the thread that cancels."""
        if getattr(fn, "__module__", "") == "asyncio.tasks":
            fn = _InLoop(fn)  # asyncio.wait() expects to be called in its loop
        super().add_done_callback(fn)

    def remove_done_callback(self, fn: Callable[[Future[T]], object]) -> int:
        """Calls it no more; how often it was to be called. As asyncio's futures do."""
        with self._condition:
            kept = [known for known in self._done_callbacks if known != fn]
            removed = len(self._done_callbacks) - len(kept)
            self._done_callbacks[:] = kept
        return removed

    def _on_running(self) -> None:
        with self._condition:
            if self._state == "PENDING":
                self._state = "RUNNING"

    def _on_end(self) -> None:
        with self._condition:
            if self._enders:
                return  # whoever is inside cancel() tells it
        self._tell_end()

    def _tell_end_if_asked(self) -> None:
        if self._generation == _client.generation:
            self._tell_end()

    def _tell_end(self) -> None:
        with self._condition:
            if self._state in ("CANCELLED_AND_NOTIFIED", "FINISHED"):
                return
            self._finish()
            self._condition.notify_all()
        self._invoke_callbacks()  # type: ignore[attr-defined]

    def _finish(self) -> None:
        if self.cancelled():
            self._state, told = "CANCELLED_AND_NOTIFIED", "add_cancelled"
        else:
            self._state = "FINISHED"
            told = "add_exception" if self._job.code else "add_result"
        for waiter in self._waiters:
            getattr(waiter, told)(self)

    def _get_snapshot(self) -> Tuple[bool, bool, Any, Optional[BaseException]]:
        """What asyncio asks from Python 3.14 on."""
        if not self.done():
            return False, False, None, None
        if self.cancelled():
            return True, True, None, None
        value, error = self._outcome or self._wait(0)
        return True, False, value, error

    def set_running_or_notify_cancel(self) -> bool:
        raise UnderstudyError("the state of a Result is that of its job")

    def set_result(self, result: Any) -> None:
        raise UnderstudyError("the value of a Result is that of its job")

    def set_exception(self, exception: Optional[BaseException]) -> None:
        raise UnderstudyError("the exception of a Result is that of its job")

    def __del__(self) -> None:
        job = self.__dict__.get("_job")
        if job is None or _client is None:
            return
        status = self.status
        if status == "UNSENT" or (status == "REFUSED" and self._outcome is None):
            self._client.orphan(job, self._name)

    def _loss(self) -> List[str]:
        """What to say at the end of the program about a job that will not run."""
        status = self.status
        if status == "REFUSED" and self._outcome is None:
            return [f"{self._name} ({self._job.text})"]
        return [self._name] if status == "UNSENT" else []


def _losses_of(client: Client) -> List[str]:
    """Looks at all Results that the program still holds: none is registered anywhere,
    so that a Result costs nothing more while the program runs."""
    return [
        loss
        for held in gc.get_objects()
        if type(held) is Result and held._client is client
        for loss in held._loss()
    ]


_client.find_losses_with(_losses_of)


class _InLoop:
    """A callback of asyncio's own, which is called in the loop that it came from."""

    def __init__(self, fn: Callable[[Any], object]) -> None:
        import asyncio

        self._fn = fn
        self._loop = asyncio.get_running_loop()

    def __call__(self, result: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(self._fn, result)
        except RuntimeError:
            pass  # that loop has ended, and with it whoever waited

    def __eq__(self, other: object) -> bool:
        return other is self or other == self._fn

    __hash__ = None  # type: ignore[assignment]


def _set(waiter: Any) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _parse(uuid: Union[str, uuids.UUID]) -> bytes:
    try:
        parsed = uuid if isinstance(uuid, uuids.UUID) else uuids.UUID(uuid)
    except (ValueError, AttributeError, TypeError):
        raise InvalidArgument(f"{uuid!r} is not a UUID") from None
    if parsed.version != 8:
        raise InvalidArgument(f"{uuid} is not the id of a job: its version is not 8")
    return parsed.bytes


def _sooner(seconds: float, end: Optional[float]) -> float:
    """So many seconds, or those that are left until a moment."""
    return seconds if end is None else max(0.0, min(seconds, end - time.monotonic()))


def _partition(channel: str) -> int:
    """The last byte of the ids of a channel (docs/protocol.md, section 3)."""
    return hashlib.sha256(check_channel(channel).encode()).digest()[0]


def _reopen(uuid: str, settings: Tuple[Optional[str], ...], trust: bool) -> Any:
    client = client_of(Settings(*settings))
    client.connect()
    return Result._of(client.core.open(_parse(uuid)), client, uuid, trust)


def _load_pickle(data: bytes, buffers: Sequence[Any] = ()) -> Any:
    from understudy import _pickler

    return _pickler.loads(data, buffers)


def _refuse_pickle(data: bytes, buffers: Sequence[Any] = ()) -> Any:
    if buffers:  # large bytes, with what they stand in, go as a pickle, too
        return _buffers.loads_data(data, buffers)
    raise SerializationError("the result is a pickle, and trust='data' loads none")


def _interrupt_all(results: List[Result[Any]]) -> None:
    """After Ctrl-C: ends what has not ended, within two seconds in all."""
    deadline = time.monotonic() + _CTRL_C_SECONDS
    pending = [result for result in results if not result.done()]
    for act in (_end_now, _wait_for):
        for result in pending:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            try:
                act(result._job, left)
            except UnderstudyError:
                continue


def _end_now(job: Job, seconds: float) -> object:
    return job.cancel(1, seconds)


def _wait_for(job: Job, seconds: float) -> object:
    return job.wait(seconds)
