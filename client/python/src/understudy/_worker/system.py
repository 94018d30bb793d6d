# SPDX-License-Identifier: MIT
"""What Python has no call for, or not on all of them: prctl, fflush, pidfds, the
command line of a forked process.

Where an interpreter has no ctypes, the C library's own buffers are not flushed, and
workers end with the daemon only because their socket does.
"""

from __future__ import annotations

import array
import fcntl
import os
import resource
import signal
import time
from typing import Callable, Iterator, List, Optional, Sequence, Tuple

try:
    import ctypes

    _libc: Optional[ctypes.CDLL] = ctypes.CDLL(None)
except (ImportError, OSError):
    _libc = None

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_KILL_ROUNDS = 100
_KILL_PAUSE = 0.01


def _prctl(option: int, argument: object) -> None:
    if _libc is not None:
        _libc.prctl(option, argument, 0, 0, 0)


def die_with_parent(signum: int) -> None:
    """The kernel sends signum to this process when its present parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def adopt_orphans() -> None:
    """Grandchildren whose parent ends become children of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def kill_marked(name: str) -> None:
    """Kills the processes that have this process's value of a variable, wherever they
    are, and goes on until there are no more: they may be starting others."""
    if name not in os.environ:
        return
    mark = f"{name}={os.environ[name]}".encode()
    for _ in range(_KILL_ROUNDS):
        marked = [pid for pid in processes() if mark in _environment(pid)]
        if not marked:
            return
        for pid in marked:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(_KILL_PAUSE)


def processes() -> Iterator[int]:
    """The numbers of all processes but this one."""
    own = os.getpid()
    return (int(e) for e in os.listdir("/proc") if e.isdigit() and int(e) != own)


def _environment(pid: int) -> List[bytes]:
    """The variables that a process was started with. Empty where it has ended or
    belongs to somebody else."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environ:
            return environ.read().split(b"\0")
    except OSError:
        return []


def make_c_flush() -> Callable[[], object]:
    """A function that writes out what C code has printed."""
    if _libc is None:
        return lambda: None
    fflush = _libc.fflush
    fflush.argtypes = [ctypes.c_void_p]
    return lambda: fflush(None)


def open_pidfd(pid: int) -> Optional[int]:
    """A descriptor that becomes readable when the process ends. None where the kernel
    or this Python has no such thing."""
    try:
        return os.pidfd_open(pid)  # type: ignore[attr-defined, no-any-return, unused-ignore]
    except (AttributeError, OSError):
        return None


def descriptors_of(ancillary: Sequence[Tuple[int, int, bytes]]) -> List[int]:
    """The descriptors that came with a datagram."""
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return list(descriptors)


def keep_descriptor(fd: int) -> int:
    """Moves fd out of the way of a job, which may count from 3 upwards."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for lowest in (1000, 250, 100, 20):
        if limit == resource.RLIM_INFINITY or lowest + 8 < limit:
            moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
            os.close(fd)
            return moved
    return fd


class CommandLine:
    """Where the kernel keeps argv; a fork may write its own name there."""

    def __init__(self) -> None:
        self._place: Optional[Tuple[int, int]] = None
        try:
            with open("/proc/self/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
            start, end = int(fields[45]), int(fields[46])
            with open("/proc/self/cmdline", "rb") as line:
                size = len(line.read())
        except (OSError, ValueError, IndexError):
            return
        if start and end - start == size:
            self._place = (start, size)

    def write(self, text: str) -> None:
        _prctl(_PR_SET_NAME, ctypes.c_char_p(text.encode()[:15]) if _libc else None)
        if _libc is None or self._place is None:
            return
        start, size = self._place
        data = text.encode()[: size - 1]
        ctypes.memset(start, 0, size)
        ctypes.memmove(start, data, len(data))
