# SPDX-License-Identifier: MIT
"""HeldJob: a job that has not been sent yet, in the place of the library's own.

An Executor with max_workers holds jobs back; a program whose event loop must not wait
for a connection holds them until there is one; and what cannot travel at all ends here.
A Result talks to it as to a _core.Job, and once it has been sent it passes everything
on. Stands on _client and on _core.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from understudy._client import beside
from understudy.exceptions import (
    JobCancelled,
    JobEnded,
    JobRunning,
    UnderstudyError,
    WaitTimeout,
)

if TYPE_CHECKING:
    from understudy import _core
    from understudy._client import Client, Listener

Send = Callable[[bytes], "_core.Job"]  # submits the job under this id

_UNSENT, _CANCELLED, _REFUSED = 0, 7, 15  # of US_STATE_MAP
_INFO = (
    "attempt",
    "crashes",
    "losses",
    "submitted_ms",
    "started_ms",
    "ended_ms",
    "log_len",
    "build_len",
    "dropped",
)


class HeldJob:
    """Has the attributes of a _core.Job, and release() and fail() for its holder."""

    def __init__(self, client: Client, job_id: bytes) -> None:
        self.id = job_id
        self.error: Optional[BaseException] = None
        self._client = client
        self._job: Optional[_core.Job] = None
        self._state, self._code, self._text = _UNSENT, JobRunning.code, ""
        self._listeners: List[Listener] = []
        self._streams: List[int] = []
        self._lock = threading.Lock()
        self._settled = threading.Event()

    # --- for its holder ---------------------------------------------------------------

    @property
    def was_sent(self) -> bool:
        return self._job is not None

    def release(self, send: Send) -> bool:
        """Sends the job, unless it has been cancelled. Whether it was sent: where that
        fails, the job ends with the reason."""
        with self._lock:
            if self._state != _UNSENT:
                return False
            try:
                job = self._job = send(self.id)
            except Exception as error:
                problem: Exception = error
            else:
                for stream in self._streams:
                    job.stream_log(stream)
                if self._listeners:
                    self._client.subscribe(job, self)
                self._settled.set()
                return True
        self.fail(problem)
        return False

    def fail(self, error: BaseException) -> None:
        """Ends it: it will not be sent."""
        self.error = error
        code = (
            error.code if isinstance(error, UnderstudyError) else UnderstudyError.code
        )
        self._end(_REFUSED, code, str(error))

    def _end(self, state: int, code: int, text: str) -> bool:
        with self._lock:
            if self._state != _UNSENT or self._job is not None:
                return False
            self._code, self._text, self._state = code, text, state
            self._settled.set()
        self._on_end()
        return True

    # --- a listener itself, of the job that was sent ----------------------------------

    def _on_running(self) -> None:
        for listener in list(self._listeners):
            listener._on_running()

    def _on_end(self) -> None:
        with self._lock:
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener._on_end()

    # --- what a Result asks -----------------------------------------------------------

    @property
    def state(self) -> int:
        return self._state if self._job is None else self._job.state

    @property
    def code(self) -> int:
        return self._code if self._job is None else self._job.code

    @property
    def text(self) -> str:
        return self._text if self._job is None else self._job.text

    @property
    def body(self) -> bytes:
        return b"" if self._job is None else self._job.body

    @property
    def buffers(self) -> Sequence[_core.Buffer]:
        return () if self._job is None else self._job.buffers

    @property
    def info(self) -> Dict[str, int]:
        return dict.fromkeys(_INFO, 0) if self._job is None else self._job.info

    def drop_body(self) -> None:
        if self._job is not None:
            self._job.drop_body()

    def subscribe(self, types: int, listener: Any) -> None:
        with self._lock:
            self._listeners.append(listener)
            job = self._job
            ended = job is None and self._state != _UNSENT
        if job is not None:
            job.subscribe(types, self)  # what has happened already comes at once
        elif ended:
            self._on_end()

    def accepted(self, timeout: Optional[float] = None) -> int:
        job, left = self._wait_until_sent(timeout)
        if job is not None:
            return beside(job.accepted, left)
        if self._state == _UNSENT:
            raise WaitTimeout("the job has not been sent yet")
        return self._code

    def wait(self, timeout: Optional[float] = None) -> bool:
        job, left = self._wait_until_sent(timeout)
        return self._state != _UNSENT if job is None else beside(job.wait, left)

    def stream_log(self, stream: int = 0) -> None:
        with self._lock:
            job = self._job
            if job is None:
                self._streams.append(stream)
        if job is not None:
            job.stream_log(stream)

    def read_log(
        self, stream: int, offset: int, size: int, timeout: Optional[float]
    ) -> Optional[bytes]:
        job, left = self._wait_until_sent(timeout)
        if job is not None:
            return beside(job.read_log, stream, offset, size, left)
        return None if self._state == _UNSENT else b""

    def cancel(self, mode: int, timeout: Optional[float]) -> Tuple[int, int]:
        if self._end(_CANCELLED, JobCancelled.code, JobCancelled.summary):
            return 0, _CANCELLED
        if self._job is not None:
            return beside(self._job.cancel, mode, timeout)
        return JobEnded.code, self._state

    def _wait_until_sent(
        self, timeout: Optional[float]
    ) -> Tuple[Optional[_core.Job], Optional[float]]:
        """The job, or None while it is held or where it has ended; and what is left of
        the timeout."""
        if self._job is None and timeout is not None:
            begin = time.monotonic()
            self._settled.wait(timeout)
            timeout = max(0.0, timeout - (time.monotonic() - begin))
        elif self._job is None:
            self._settled.wait()
        return self._job, timeout
