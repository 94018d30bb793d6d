# SPDX-License-Identifier: MIT
"""One connection for each process and address, shared by everything in it.

A client connects at its first use. Where somebody waits for events (callbacks,
concurrent.futures.wait, …) one Python thread takes them from the C library. A forked
child keeps the clients, which connect afresh there, and starts a thread of its own.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import traceback
import types
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    TypeVar,
    cast,
)

from understudy import _buffers, _program
from understudy._settings import Settings

if TYPE_CHECKING:
    from understudy import _core

_FLUSH_SECONDS = 5.0
_NAMES_SHOWN = 10
_GREEN_THREADS = 1000  # at most, for greenlets that wait at a time

V = TypeVar("V")

_lock = threading.Lock()
_clients: Dict[Tuple[Optional[str], ...], Client] = {}
generation = 0  # how many forks lie between the first process and this one


class Listener(Protocol):
    """Who subscribes to the events of a job: a Result. Told in the client's thread."""

    def _on_running(self) -> None: ...

    def _on_end(self) -> None: ...


class Job(Protocol):
    """What a Result asks of its job: a _core.Job, or a HeldJob before it is sent."""

    @property
    def id(self) -> bytes: ...
    @property
    def state(self) -> int: ...
    @property
    def code(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def buffers(self) -> Sequence[_core.Buffer]: ...
    @property
    def info(self) -> Dict[str, int]: ...
    def drop_body(self) -> None: ...
    def subscribe(self, types: int, user: object) -> None: ...
    def accepted(self, timeout: Optional[float] = None) -> int: ...
    def wait(self, timeout: Optional[float] = None) -> bool: ...
    def stream_log(self, stream: int = 0) -> None: ...
    def read_log(
        self, stream: int, offset: int, size: int, timeout: Optional[float]
    ) -> Optional[bytes]: ...
    def cancel(self, mode: int, timeout: Optional[float]) -> Tuple[int, int]: ...


class Client:
    """A _core.Client with what Python needs around it."""

    def __init__(self, settings: Tuple[Optional[str], ...]) -> None:
        from understudy import _core  # nodes, which only import this, have none

        self.settings = Settings(*settings)
        self.told: Dict[str, float] = {}  # what was said, until when; _waiting.py
        self.core = _core.Client(
            broker=self.settings.broker,
            redis=self.settings.redis,
            owner=self.settings.owner,
            key=self.settings.key,
            cluster=self.settings.cluster,
            name=_name(),
            program=_program.identity(),
        )
        self._status_of = {number: name for number, name, _ in _core.STATES}
        self._running, self._ended = _core.EVENT_RUNNING, _core.EVENT_ENDED
        self.lock = threading.Lock()
        self.connected = -1  # the generation that has connected
        self._thread: Optional[threading.Thread] = None
        self._closed = False
        self._connecting: List[Callable[[Optional[Exception]], object]] = []
        self._orphans: List[Tuple[Job, str]] = []
        self._prune_at = 64
        self._refused: List[str] = []

    def connect(self) -> None:
        """BrokerUnreachable where none answers within the connect timeout."""
        if self.connected != generation:
            beside(self.core.connect)
            self.connected = generation
            _at_end_of_child()

    def connect_beside(self, then: Callable[[Optional[Exception]], object]) -> None:
        """Connects in a thread of its own, which calls then with why it could not, or
        with None."""
        with self.lock:
            self._connecting.append(then)
            first = len(self._connecting) == 1
        if first:
            thread = threading.Thread(
                target=self._connect_beside, name="understudy-connect", daemon=True
            )
            thread.start()

    def _connect_beside(self) -> None:
        problem: Optional[Exception] = None
        try:
            self.connect()
        except Exception as error:
            problem = error
        with self.lock:
            waiting, self._connecting = self._connecting, []
        for then in waiting:
            then(problem)

    @property
    def max_payload(self) -> int:
        """Bytes; the broker's limit where that is lower than ours."""
        return self.core.max_payload

    @property
    def buffers(self) -> Optional[_buffers.Limits]:
        """None: the broker takes none, which the library says."""
        core = self.core
        if not core.max_buffer:
            return None
        return _buffers.Limits(_buffers.ROOM, core.max_buffer, core.max_buffers)

    def status_of(self, job: Job) -> str:
        """The name of the state that the job is in."""
        return self._status_of.get(job.state, "?")

    # --- events -----------------------------------------------------------------------

    def subscribe(self, job: Job, listener: Listener) -> None:
        with self.lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._take_events, name="understudy-events", daemon=True
                )
                self._thread.start()
        job.subscribe(self._running | self._ended, listener)

    def _take_events(self) -> None:
        while not self._closed:  # a wake-up without events is no reason to end
            for kinds, _, listener in beside(self.core.wait_events, None):
                try:
                    self._pass_on(kinds, cast(Listener, listener))
                except Exception:
                    traceback.print_exc()

    def _pass_on(self, kinds: int, listener: Listener) -> None:
        if kinds & self._ended:
            listener._on_end()
        elif kinds & self._running:
            listener._on_running()

    # --- the end ----------------------------------------------------------------------

    def orphan(self, job: Job, name: str) -> None:
        """A job whose Result was dropped before it was accepted: named if lost."""
        self._orphans.append((job, name))
        if len(self._orphans) >= self._prune_at:
            self._prune()
            self._prune_at = 2 * len(self._orphans) + 64

    def _prune(self) -> None:
        kept = []
        for job, name in self._orphans:
            status = self.status_of(job)
            if status == "UNSENT":
                kept.append((job, name))
            elif status == "REFUSED":
                self._refused.append(f"{name} ({job.text})")
        self._orphans = kept

    def close(self, deadline: float) -> List[str]:
        """Waits until the deadline for jobs that no broker has accepted yet. Gives the
        names of those that were lost."""
        lost: List[str] = []
        if self.connected == generation:
            self.core.flush(max(0.0, deadline - time.monotonic()))
            lost = self._lost()
        self._closed = True
        self.core.close()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(1)
        return lost

    def _lost(self) -> List[str]:
        self._prune()
        names = [name for _, name in self._orphans]
        for find in _finders_of_losses:
            names += find(self)
        return names + self._refused

    def after_fork(self) -> None:
        self.lock = threading.Lock()
        self._thread = None
        self._orphans, self._refused = [], []
        self._connecting = []


_finders_of_losses: List[Callable[[Client], List[str]]] = []


def find_losses_with(find: Callable[[Client], List[str]]) -> None:
    """At the end of the program find names the jobs of a client that somebody still
    holds and that will not run."""
    _finders_of_losses.append(find)


def in_event_loop() -> bool:
    """Whether this thread runs an event loop of asyncio, which nothing may block."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def is_green() -> bool:
    """Whether gevent has replaced threads by greenlets, of which a wait in C would stop
    all."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def beside(function: Callable[..., V], *args: Any) -> V:
    """Calls what waits in C; under gevent in a thread of the system, so that the other
    greenlets go on."""
    if not is_green() or isinstance(function, types.MethodType):
        return function(*args)
    if not _green_threads:
        from gevent.threadpool import ThreadPool

        _green_threads.append(ThreadPool(_GREEN_THREADS))
    return cast("V", _green_threads[0].apply(function, args))


_green_threads: List[Any] = []


def client_of(settings: Tuple[Optional[str], ...]) -> Client:
    with _lock:
        client = _clients.get(settings)
        if client is None:
            client = _clients[settings] = Client(settings)
        return client


def _name() -> Optional[str]:
    return os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else None


def _after_fork() -> None:
    global _lock, generation
    _green_threads.clear()
    _lock = threading.Lock()
    generation += 1
    for client in _clients.values():
        client.after_fork()


def _at_exit() -> None:
    deadline = time.monotonic() + _FLUSH_SECONDS
    for client in list(_clients.values()):
        try:
            lost = client.close(deadline)
        except Exception as error:
            lost = [f"perhaps some: {error}"]
        if lost:
            _tell(lost)


def _tell(lost: List[str]) -> None:
    shown = ", ".join(lost[:_NAMES_SHOWN])
    more = f" and {len(lost) - _NAMES_SHOWN} more" if len(lost) > _NAMES_SHOWN else ""
    jobs = "1 job was" if len(lost) == 1 else f"{len(lost)} jobs were"
    print(
        f"understudy: {jobs} not accepted and will not run: {shown}{more}",
        file=sys.stderr,
    )


_ends_registered = 0


def _at_end_of_child() -> None:
    """A child of multiprocessing leaves without atexit; its own hook is used there."""
    global _ends_registered
    process = sys.modules.get("multiprocessing.process")
    if process is None or _ends_registered == generation:
        return
    if process.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, _at_exit, exitpriority=100)
        _ends_registered = generation


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
