# SPDX-License-Identifier: MIT
"""What a job may leave behind in its worker, and what is done about it.

Working directory, environment variables, signal handlers and the timer are put back.
Children, threads, and modules and paths that a job has removed cannot be: the daemon is
told, and replaces the worker.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found, unused-ignore]
import os
import sys
import threading
from typing import Any, Dict

from understudy._worker import system

CHILDREN_LEFT = 2
REPLACE_ME = 4

_WATCHED = (
    _signal.SIGUSR1,
    _signal.SIGINT,
    _signal.SIGTERM,
    _signal.SIGALRM,
    _signal.SIGCHLD,
    _signal.SIGPIPE,
)
_WAIT = os.WEXITED | os.WNOHANG | os.WNOWAIT


class Leftovers:
    def __init__(self) -> None:
        """Remembers how things are now."""
        self._directory = system.keep_descriptor(
            os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        )
        # The mapping beneath os.environ: comparing it costs next to nothing.
        self._environ: Dict[Any, Any] = getattr(os.environ, "_data", {})
        self._before = dict(self._environ)
        self._path = sys.path
        self._places = frozenset(sys.path)
        self._modules = sys.modules
        self._handlers = [(signum, _signal.getsignal(signum)) for signum in _WATCHED]

    def end_job(self) -> int:
        """Puts back what can be, gives the flags of RESULT for what cannot."""
        getsignal = _signal.getsignal
        for signum, handler in self._handlers:
            if getsignal(signum) is not handler:
                _signal.signal(signum, handler)
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        if self._environ != self._before:
            self._restore_environ()
        flags = 0
        try:
            os.fchdir(self._directory)
        except OSError:  # a job has closed the descriptor: no place to go back to
            flags |= REPLACE_ME
        if self._has_lost_modules():
            flags |= REPLACE_ME
        if _has_children():
            flags |= CHILDREN_LEFT
        if threading.active_count() > 1 and _has_threads():
            flags |= REPLACE_ME
        return flags

    def _has_lost_modules(self) -> bool:
        """Whether the next job would not find what this one found."""
        return (
            sys.path is not self._path
            or not self._places.issubset(self._path)
            or sys.modules is not self._modules
            or self._modules.get("sys") is not sys
        )

    def _restore_environ(self) -> None:
        decode = os.fsdecode
        for key in list(self._environ):
            if key not in self._before:
                del os.environ[decode(key)]
        for key, value in self._before.items():
            if self._environ.get(key) != value:
                os.environ[decode(key)] = decode(value)


def _has_children() -> bool:
    """Children that still run; what has ended is reaped."""
    try:
        while os.waitid(os.P_ALL, 0, _WAIT) is not None:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _has_threads() -> bool:
    """Threads that would keep an ordinary program from ending."""
    return any(
        not thread.daemon
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
    )
