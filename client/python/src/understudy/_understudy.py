# SPDX-License-Identifier: MIT
"""Understudy: this machine listens.

start() runs understudy-node, and understudy-broker where no broker answers, as children
in sessions of their own. The node watches this process and ends with it however it
ends; a broker started here ends by itself five seconds after its last node.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from understudy._options import DEFAULT_CHANNEL
from understudy._settings import Settings, check_channel, settings_for
from understudy.exceptions import (
    AccessDenied,
    BrokerUnreachable,
    InvalidArgument,
    SystemFailure,
    UnderstudyError,
)

_IDLE_SECONDS = 5  # a broker without nodes ends after this
_GRACE_SECONDS = 5  # for running jobs at the end
_LOOK_SECONDS = 2.0  # for an answer where something listens
_READY_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_PART_SECONDS = 0.5  # the longest that a signal may go unnoticed
_LOOPBACK = ("127.", "localhost", "::1")
_REDIS = ("redis://", "unix://")


class Understudy:
    """Understudy("calculator").start() listens on a channel until stop() is called from
    another thread, or Ctrl-C or SIGTERM comes; then running jobs get five seconds.

    broker= or the Redis keywords say where, as for the decorator. slots=: jobs at the
    same time (default: one for each processor). key= and cluster= are the files of a
    node's key. packages= belong to the functions.
    """

    def __init__(
        self,
        channel: str = DEFAULT_CHANNEL,
        *,
        slots: Optional[int] = None,
        name: Optional[str] = None,
        queue: bool = True,
        **where: Any,
    ) -> None:
        if slots is not None and (not isinstance(slots, int) or not 1 <= slots <= 4096):
            raise InvalidArgument(f"slots={slots!r} is not between 1 and 4096")
        self.channel = check_channel(channel)
        self._settings = settings_for(Understudy.__init__, where)
        self._slots = slots
        self._name = name
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)
        self._thread: Optional[threading.Thread] = None
        self._stopping = False
        self._node: Optional[_Child] = None

    def __reduce__(self) -> Any:
        """For multiprocessing, which may send it to the process that will listen."""
        return _rebuild, (self.channel, self._settings, self._slots, self._name)

    def start(self) -> None:
        """Blocks until stop(), Ctrl-C or SIGTERM, and until everything has ended."""
        with self._lock:
            if self._thread is not None:
                raise RuntimeError("this Understudy has been started already")
            self._thread = threading.current_thread()
        try:
            with _Handlers(self._end_node):
                self._run()
        finally:
            with self._ended:
                self._thread = self._node = None
                self._stopping = False
                self._ended.notify_all()

    def stop(self) -> None:
        """Ends start(), and waits until it has returned. Before start(): makes the next
        one return at once."""
        with self._ended:
            self._stopping = True
            if self._thread is None or self._thread is threading.current_thread():
                self._tell_node()
                return
            self._tell_node()
            self._ended.wait_for(lambda: not self._stopping)

    def _end_node(self) -> None:
        """A signal handler calls this. It takes no lock: the handler may have
        interrupted whoever holds it."""
        self._stopping = True
        self._tell_node()

    def _asked_to_stop(self) -> bool:
        return self._stopping

    def _tell_node(self) -> None:
        node = self._node
        if node is not None:
            node.terminate()

    def _run(self) -> None:
        where, broker = self._find_broker()
        try:
            if self._asked_to_stop():
                return
            flags = [*self._node_flags(), *where]
            self._node = _Child("understudy-node", flags, self._settings.redis)
            if self._asked_to_stop():  # it came before there was a node to tell
                self._node.terminate()
            if self._node.ready(_READY_SECONDS) is not None:
                _say(f"listening on channel {self.channel!r}")
            self._watch(self._node, broker)
        finally:
            self._end(broker)

    def _node_flags(self) -> List[str]:
        python = getattr(sys, "_base_executable", None) or sys.executable
        flags = ["--channel", self.channel, "--parent-pid", str(os.getpid())]
        flags += ["--python", python, "--grace", f"{_GRACE_SECONDS}s"]
        for flag in ("key", "cluster"):
            if (path := getattr(self._settings, flag)) is not None:
                flags += [f"--{flag}", path]
        if self._slots is not None:
            flags += ["--slots", str(self._slots)]
        if self._name is not None:
            flags += ["--name", self._name]
        return flags

    def _find_broker(self) -> Tuple[List[str], Optional[_Broker]]:
        """The node's flags that say where its broker is, and the broker if it had to be
        started. Where a Redis lists the brokers, our programs know it from a variable,
        which unlike a flag is not for everybody to read: ours, or the user's own."""
        broker, redis = self._settings.broker, self._settings.redis
        where: List[str] = []
        bind = "ipc://*"
        addresses = redis or broker or _default_broker()
        listed = addresses.startswith(_REDIS)
        if not listed:
            where, bind = ["--broker", addresses], addresses.split(",")[0].strip()
        if _answers(broker, redis, bind):
            return where, None
        if not listed and not _is_loopback(bind):
            raise BrokerUnreachable(
                f"no broker answers at {bind}; start one there with: "
                f"understudy-broker --bind {bind}"
            )
        _say(
            f"no broker answers{'' if listed else ' at ' + bind}; starting one (with "
            f"{'the Redis that was named' if listed else 'a private Redis'}; "
            f"it ends {_IDLE_SECONDS} s after its last node)"
        )
        # Other machines look for a broker in a Redis that they share.
        is_shared = listed and not _is_loopback(addresses)
        flags = ["--bind", bind, *(["--reachable"] if is_shared else [])]
        started = _Broker(flags, redis, lambda: _answers(broker, redis, bind))
        return where, (started if started.start() else None)

    def _watch(self, node: _Child, broker: Optional[_Broker]) -> None:
        """Until the node has ended. A broker of ours that dies is started again."""
        while True:
            code = node.ended(None if broker is None else broker.child)
            if code is not None:
                break
            if broker is not None and not self._stopping:
                _say("the broker has ended; starting it again")
                time.sleep(_RESTART_SECONDS)
                if not broker.start_again():
                    broker = None
        if code and not self._stopping:
            raise UnderstudyError(f"understudy-node ended with exit code {code}")

    def _end(self, broker: Optional[_Broker]) -> None:
        if self._node is not None:
            self._node.end(_GRACE_SECONDS + 10)
        if broker is not None:
            broker.child.reap()


def _rebuild(
    channel: str, settings: Settings, slots: Optional[int], name: Optional[str]
) -> Understudy:
    understudy = Understudy(channel, slots=slots, name=name)
    understudy._settings = settings
    return understudy


# --- children -------------------------------------------------------------------------


class _Child:
    """One of our programs, in a session of its own, with a pipe on which it says that
    it is ready."""

    def __init__(
        self, program: str, flags: Sequence[str], redis: Optional[str]
    ) -> None:
        path = _find_program(program)
        more = {} if redis is None else {"UNDERSTUDY_REDIS": redis}
        ready, theirs = os.pipe()
        try:
            self.process = subprocess.Popen(
                [path, *flags, "--ready-fd", str(theirs), "--log-level", "warning"],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **more},
                pass_fds=(theirs,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(ready)
            raise SystemFailure(f"{path} cannot be started: {error}") from error
        finally:
            os.close(theirs)
        self._ready: Optional[int] = ready
        self.pidfd = os.pidfd_open(self.process.pid)

    def ready(self, timeout: float) -> Optional[str]:
        """What it says when it is ready; None if it ends first, or takes too long."""
        fd, self._ready = self._ready, None
        if fd is None:
            return None
        try:
            text = b""
            deadline = time.monotonic() + timeout
            while not text.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not _poll((fd,), left):
                    return None
                part = os.read(fd, 4096)
                if not part:
                    return None
                text += part
            return text.decode(errors="replace").strip()
        finally:
            os.close(fd)

    def terminate(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGTERM)
        except OSError:
            pass  # it has ended

    def ended(self, other: Optional[_Child]) -> Optional[int]:
        """Its exit code; or None, as soon as the other child has ended."""
        _poll((self.pidfd, *(() if other is None else (other.pidfd,))), None)
        return self.process.wait() if _poll((self.pidfd,), 0) else None

    def end(self, seconds: float) -> int:
        """Its exit code."""
        self.terminate()
        if not _poll((self.pidfd,), seconds):
            self.process.kill()
        code = self.process.wait()
        self._close()
        return code

    def reap(self) -> None:
        """It ends by itself, later: a thread collects it, so that no zombie is left."""
        threading.Thread(target=self.process.wait, daemon=True).start()
        self._close()

    def _close(self) -> None:
        if self._ready is not None:
            os.close(self._ready)
            self._ready = None
        pidfd, self.pidfd = self.pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)


class _Broker:
    def __init__(
        self, flags: List[str], redis: Optional[str], answers: Callable[[], bool]
    ) -> None:
        self._flags = [*flags, "--exit-when-idle", f"{_IDLE_SECONDS}s"]
        self._redis = redis
        self._answers = answers
        self.child: _Child

    def start(self) -> bool:
        """False where somebody else's broker was faster."""
        self.child = _Child("understudy-broker", self._flags, self._redis)
        if self.child.ready(_READY_SECONDS) is not None:
            return True
        _poll((self.child.pidfd,), _LOOK_SECONDS)  # it is about to end by itself
        code = self.child.end(_LOOK_SECONDS)
        if self._answers():
            return False
        raise BrokerUnreachable(
            f"no broker answers, and understudy-broker ended with exit code {code}"
        )

    def start_again(self) -> bool:
        self.child.end(0)  # it has ended; this collects it
        return self.start()


def _poll(fds: Sequence[int], seconds: Optional[float]) -> bool:
    """Whether one of them became readable. Signal handlers run meanwhile: between the
    parts also for a signal that came just before a sleep, and did not end it."""
    poller = select.poll()
    for fd in fds:
        poller.register(fd, select.POLLIN)
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = _PART_SECONDS if end is None else end - time.monotonic()
        if poller.poll(max(0.0, min(left, _PART_SECONDS)) * 1000):
            return True
        if left <= 0:
            return False


def _find_program(name: str) -> str:
    for folder in _program_folders():
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    path = shutil.which(name) or ""
    if not path:
        raise SystemFailure(
            f"the program {name} was not found beside {sys.executable}, in the package "
            "or in PATH; UNDERSTUDY_BIN_DIR can name its folder"
        )
    return path


def _program_folders() -> Iterator[str]:
    named = os.environ.get("UNDERSTUDY_BIN_DIR")
    if named:
        yield named
    yield os.path.dirname(sys.executable)
    yield sysconfig.get_path("scripts")
    yield os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin")


# --- finding a broker -----------------------------------------------------------------


def _default_broker() -> str:
    from understudy import _core

    return _core.default_broker()


def _is_loopback(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    return parts.scheme in ("ipc", "unix") or host.startswith(_LOOPBACK)


def _answers(broker: Optional[str], redis: Optional[str], address: str) -> bool:
    from understudy import _core

    if redis is None and "," not in (broker or "") and _is_closed(address):
        return False
    client = _core.Client(broker=broker, redis=redis, connect_timeout=_LOOK_SECONDS)
    try:
        client.connect()
        return True
    except (AccessDenied, BrokerUnreachable):
        return False
    finally:
        client.close()


def _is_closed(address: str) -> bool:
    """Nobody listens there: known at once, without waiting for an answer."""
    parts = urlsplit(address)
    try:
        if parts.scheme != "tcp" or not parts.hostname or not parts.port:
            return False
        with socket.create_connection((parts.hostname, parts.port), _LOOK_SECONDS):
            return False
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False


# --- signals --------------------------------------------------------------------------


class _Handlers:
    """SIGINT and SIGTERM end the node, while this lasts; a second one ends it at once.
    Only the main thread may have handlers."""

    def __init__(self, end: Callable[[], None]) -> None:
        self._end = end
        self._before: Dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)

    def __exit__(self, *problem: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: Any) -> None:
        self._end()


def _say(text: str) -> None:
    print(f"understudy: {text}", file=sys.stderr, flush=True)
