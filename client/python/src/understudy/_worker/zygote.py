# SPDX-License-Identifier: MIT
"""The zygote: an interpreter of one environment that forks workers when it is told to.

It stays single-threaded, and everything a worker needs is imported before the first
fork. Workers are children of the daemon (it forks twice), which therefore sees how they
end. In turn the zygote sees the end of the daemon, and then kills what its workers have
started: they themselves may be busy with their jobs and see nothing. What has left
their groups is by then nobody's child; it is known by a variable that only this zygote
has.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, Dict, FrozenSet, List, NoReturn, Optional

from understudy._msgpack import packb, unpackb
from understudy._worker import bundles, scratch, system, worker

_ROOM = 64 * 1024
_ANCILLARY = socket.CMSG_LEN(2 * struct.calcsize("i"))
_CUT_SHORT = socket.MSG_TRUNC | socket.MSG_CTRUNC
_DAEMON_END_SECONDS = 2.0
_MOMENT_SECONDS = 0.25
_LOOK_MS = 50
_TRIES = 8
_MARK = "UNDERSTUDY_ZYGOTE"


class _Leave(Exception):
    """The daemon has closed the control socket, or sent SIGTERM."""


class Zygote:
    def __init__(self, fd: int, runtime: str, startup: FrozenSet[str]) -> None:
        self._control = socket.socket(fileno=fd)
        self._control.set_inheritable(False)
        self._runtime = runtime
        self._startup = startup
        self._daemon = os.getppid()
        self._daemon_fd = system.open_pidfd(self._daemon)
        self._command_line = system.CommandLine()
        self._workers: Dict[int, int] = {}  # pidfd: pid, which is its group as well
        self._scratches: Dict[int, str] = {}  # pidfd: the worker's directory

    def run(self) -> None:
        self._control.send(
            b"R" + packb({"python": ".".join(map(str, sys.version_info[:3]))})
        )
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        while True:
            for fd, _ in poller.poll():
                if fd in self._workers:
                    if self._has_lost_daemon():
                        raise _Leave  # the worker died with it; its group is left
                    poller.unregister(fd)
                    self._forget(fd)
                elif fd == self._control.fileno():
                    watch = self._serve()
                    if watch is not None:
                        poller.register(watch, select.POLLIN)

    def end(self) -> None:
        """After the control socket was closed: did the daemon want that, or die?

        A daemon that ends closes its sockets a little before it is gone. Workers that
        end while it is still there were ended by it.
        """
        deadline = time.monotonic() + _DAEMON_END_SECONDS
        poller = select.poll()
        for fd in self._workers:
            poller.register(fd, select.POLLIN)
        if self._daemon_fd is not None:
            poller.register(self._daemon_fd, select.POLLIN)
        running = set(self._workers)
        while self._workers and time.monotonic() < deadline:
            if os.getppid() != self._daemon:
                self._kill_groups()
                return
            for fd, _ in poller.poll(_LOOK_MS):
                if fd not in running:
                    continue
                running.remove(fd)
                poller.unregister(fd)
                # A daemon that dies takes its workers along before this process gets
                # another parent: a moment more tells whether it was that.
                if not running:
                    deadline = min(deadline, time.monotonic() + _MOMENT_SECONDS)

    def _has_lost_daemon(self) -> bool:
        """Whether the control socket is closed. A daemon that dies closes its files
        first, and only then takes its workers along."""
        try:
            return not self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _kill_groups(self) -> None:
        for pid in self._workers.values():
            try:
                os.killpg(pid, signal.SIGKILL)
            except OSError:
                pass
        system.kill_marked(_MARK)

    def _forget(self, fd: int) -> None:
        del self._workers[fd]
        os.close(fd)
        self._remove(self._scratches.pop(fd, ""))

    def _remove(self, path: str) -> None:
        """The scratch directory of a worker that has ended. Others may be waiting for
        a worker: what takes time is done beside."""
        try:
            if path:
                os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            with contextlib.suppress(OSError):  # the daemon removes it at its end
                if os.fork() == 0:
                    self._remove_tree(path)

    def _remove_tree(self, path: str) -> NoReturn:
        try:
            self._control.close()
            for _ in range(_TRIES):  # what it has started may be ending just now
                with contextlib.suppress(OSError):
                    scratch.remove_tree(path)
                if not os.path.lexists(path):
                    break
                time.sleep(_MOMENT_SECONDS)
        finally:
            os._exit(0)

    def _serve(self) -> Optional[int]:
        """One request of the daemon; a descriptor to watch."""
        _reap()
        data, ancillary, flags, _ = self._control.recvmsg(
            _ROOM, _ANCILLARY, socket.MSG_CMSG_CLOEXEC
        )
        if not data:
            raise _Leave
        descriptors = system.descriptors_of(ancillary)
        try:
            if flags & _CUT_SHORT:
                raise ValueError("a request over the limit")
            return self._fork(data, descriptors)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            self._control.send(b"E" + f"{type(exc).__name__}: {exc}".encode()[:4096])
            return None
        finally:
            for fd in descriptors:
                os.close(fd)

    def _fork(self, data: bytes, descriptors: List[int]) -> Optional[int]:
        if data[:1] != b"F" or len(descriptors) != 2:
            raise ValueError("not a request to fork")
        request = unpackb(data[1:])
        pid = self._fork_twice(descriptors, request)
        if pid == 0:
            raise OSError("the second fork failed")
        watch = system.open_pidfd(pid)
        if watch is not None:
            self._workers[watch] = pid
            self._scratches[watch] = _scratch_of(request)
        return watch

    def _fork_twice(self, descriptors: List[int], request: Dict[str, Any]) -> int:
        """The worker's pid; 0 where there is none."""
        told, tell = os.pipe()
        try:
            middle = os.fork()
            if middle == 0:
                self._fork_again(descriptors, request, tell)
            os.waitpid(middle, 0)
            os.set_blocking(told, False)
            return int(os.read(told, 16) or b"0")
        finally:
            os.close(told)
            os.close(tell)

    def _fork_again(
        self, descriptors: List[int], request: Dict[str, Any], tell: int
    ) -> NoReturn:
        """In the process between zygote and worker, then in the worker."""
        middle = os.getpid()
        try:
            pid = os.fork()
            if pid:
                os.write(tell, b"%d" % pid)
        except BaseException:
            os._exit(1)
        if pid:
            os._exit(0)
        try:
            self._become_worker(middle, tell)
            job_socket = socket.socket(fileno=descriptors[0])
        except BaseException:
            os._exit(worker.EXIT_BROKEN)
        path = bundles.SearchPath(self._startup)
        worker.start(job_socket, descriptors[1], request, path, self._runtime)

    def _become_worker(self, middle: int, tell: int) -> None:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._command_line.write("understudy-worker")
        os.close(tell)
        self._control.close()
        for fd in [*self._workers, self._daemon_fd]:
            if fd is not None:
                os.close(fd)
        # Only once the daemon is the parent does its end mean ours.
        while os.getppid() == middle:
            os.sched_yield()
        system.die_with_parent(signal.SIGKILL)


def _reap() -> None:
    """Children that have removed a directory."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _scratch_of(request: Dict[str, Any]) -> str:
    root = request.get("scratch")
    return os.path.join(root, str(request["slot"])) if root else ""


def _on_sigterm(signum: int, frame: object) -> NoReturn:
    raise _Leave


def main(fd: int, runtime: str, startup: FrozenSet[str]) -> NoReturn:
    """startup: the modules that were loaded before the runtime's."""
    zygote = Zygote(fd, runtime, startup)
    signal.signal(signal.SIGTERM, _on_sigterm)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A worker that has no handler yet would die of its first interrupt.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # Not SIGKILL: the end of the daemon leaves something to do.
    system.die_with_parent(signal.SIGTERM)
    gc.collect()
    gc.freeze()
    status = 0
    try:
        zygote.run()
    except (_Leave, ConnectionError):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        zygote.end()
    except BaseException as exc:
        status = worker.EXIT_BROKEN
        try:
            zygote._control.send(b"E" + repr(exc).encode()[:4096])
        except OSError:
            pass
    os._exit(status)
