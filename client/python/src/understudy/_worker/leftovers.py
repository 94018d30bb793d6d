# SPDX-License-Identifier: MIT
"""What a job may leave behind in its worker, and what is done about it.

What belongs to modules stays: their globals, their connections, the threads that
installed packages have started. What belongs to the process is put back to the
baseline, which is how things were after the modules of a function had been loaded.
What cannot be put back makes the daemon replace the worker.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from contextvars import Context
from types import CodeType, FrameType
from typing import Any, Dict, FrozenSet, List, Optional

from understudy._worker import settings, system
from understudy._worker.settings import show_warnings_again

CHILDREN_LEFT = 2
REPLACE_ME = 4

_WAIT = os.WEXITED | os.WNOHANG | os.WNOWAIT
_DESCRIPTORS = 64  # so many more than at the baseline are a leak


class Leftovers:
    def __init__(self) -> None:
        """Remembers how things are now."""
        self._directory = -1
        self.stay()
        self._environment = os.environ
        # The mapping beneath os.environ: comparing it costs next to nothing.
        self._environ: Dict[Any, Any] = getattr(os.environ, "_data", {})
        self._modules = sys.modules
        self._loggers = settings.Loggers()
        self._quick = settings.Settings(settings.quick())
        self._slow = settings.Settings(settings.slow())
        self._fingerprint = settings.Fingerprint()
        self._random = settings.Seed()
        self._imported = False  # since the last put_back_slow
        self._take_rest()

    def stay(self) -> None:
        """Each job begins in the present directory."""
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = system.keep_descriptor(
            os.open(".", os.O_RDONLY | os.O_CLOEXEC)
        )

    def _take_rest(self) -> None:
        self._before = dict(self._environ)
        self._start_method = _start_method()
        self._started = _thread._count()  # threads that were looked at
        self._threads: FrozenSet[int] = frozenset(
            sys._current_frames() if self._started else ()
        )
        self._known = set(sys.modules)
        self._count = len(self._known)
        self._lowest = _lowest_descriptor()
        self._descriptors = _count_descriptors()

    def take(self) -> None:
        """Makes the present state the baseline: a function's modules were loaded."""
        self._loggers.take()
        self._quick.take()
        self._slow.take()
        self._fingerprint.take()
        self._random.take()
        self._take_rest()

    def end_job(self, context: Optional[Context]) -> int:
        """Puts back what the next job, which may stand behind this one, must not meet.
        Gives the flags of RESULT for what cannot be put back. context: that of the
        job's run."""
        flags = 0
        imported = len(sys.modules) != self._count and self._note_imports(context)
        if imported or not self._fingerprint.is_same():
            flags |= self._put_back_quick(imported)
        if self._modules.get("sys") is not sys:
            return REPLACE_ME
        show_warnings_again()
        self._random.put_back()
        try:
            os.fchdir(self._directory)
        except OSError:  # a job has closed the descriptor: no place to go back to
            flags |= REPLACE_ME
        if _start_method() is not self._start_method:
            self._start_method = _start_method()
            flags |= 0 if imported else REPLACE_ME
        if _has_children():
            flags |= CHILDREN_LEFT
        if _thread._count() != self._started and self._has_threads():
            flags |= REPLACE_ME
        return flags

    def _put_back_quick(self, imported: bool) -> int:
        whole = self._quick.put_back(imported)
        self._loggers.put_back(imported)
        self._fingerprint.take()
        return 0 if whole else REPLACE_ME

    def put_back_slow(self) -> bool:
        """Puts back what is compared when no job waits. False: not all of it can be."""
        imported, self._imported = self._imported, False
        if self._environ != self._before or os.environ is not self._environment:
            self._put_back_environ(imported)
        whole = self._slow.put_back(imported)
        settings.stop_timers()
        self._loggers.put_back(imported)
        if self._started and self._has_threads():
            whole = False
        return whole and not self._has_leak()

    def _has_leak(self) -> bool:
        """A new descriptor is the lowest that is free: counting them costs more, and is
        done only where that one is high."""
        if _lowest_descriptor() <= self._lowest + _DESCRIPTORS:
            return False
        return _count_descriptors() > self._descriptors + _DESCRIPTORS

    def _note_imports(self, context: Optional[Context]) -> bool:
        """Whether modules have come that may have set something: those of the standard
        library do not. What such a run has set in its context is set for all."""
        new = set(sys.modules) - self._known
        self._known = set(sys.modules)
        self._count = len(self._known)
        if not any(map(_may_set, new)):
            return False
        self._imported = True
        if context is not None:
            for variable, value in context.items():
                variable.set(value)
        return True

    def _put_back_environ(self, imported: bool) -> None:
        os.environ = self._environment  # noqa: B003
        if imported:
            self._before = dict(self._environ)
            return
        decode = os.fsdecode
        for key in list(self._environ):
            if key not in self._before:
                del os.environ[decode(key)]
        for key, value in self._before.items():
            if self._environ.get(key) != value:
                os.environ[decode(key)] = decode(value)

    def _has_threads(self) -> bool:
        """Whether a thread runs that the baseline did not have and that no installed
        package has started."""
        main = threading.main_thread().ident
        frames = sys._current_frames()
        named = {thread.ident: thread for thread in threading.enumerate()}
        for ident in {*frames, *named} - self._threads - {main}:
            thread = named.get(ident)
            if _runs_own_code(frames.get(ident)):  # type: ignore[arg-type]
                return True
            if thread is not None and _is_own(thread):
                return True
        self._started = _thread._count()
        return False


def _lowest_descriptor() -> int:
    try:
        lowest = os.dup(0)
    except OSError:
        return 1 << 30
    os.close(lowest)
    return lowest


def _count_descriptors() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


def _start_method() -> Any:
    """How multiprocessing was told to start processes. None: as it would by itself."""
    context = sys.modules.get("multiprocessing.context")
    if context is None:
        return None
    default = context._default_context
    actual = default._actual_context
    return None if actual is default._default_context else actual


def _has_children() -> bool:
    """Children that still run; what has ended is reaped."""
    try:
        while os.waitid(os.P_ALL, 0, _WAIT) is not None:
            os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


# --- Whose code it is -----------------------------------------------------------------

_PLACES = tuple(place + os.sep for place in sys.path if place)
_LIBRARY = os.path.dirname(os.__file__)


def _may_set(name: str) -> bool:
    """Whether a module may set something for the process when it is imported. Those of
    the standard library do not, nor what has no file."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str):
        return False
    return not file.startswith(_LIBRARY + os.sep) or "-packages" in file


def _is_installed(code: Optional[CodeType]) -> bool:
    """Code of the standard library, an installed package or the runtime; None stands
    for what was not written in Python."""
    if code is None:
        return True
    return code.co_filename.startswith((*_PLACES, "<frozen"))


def _runs_own_code(frame: Optional[FrameType]) -> bool:
    while frame is not None:
        if not _is_installed(frame.f_code):
            return True
        frame = frame.f_back
    return False


def _is_own(thread: threading.Thread) -> bool:
    """Whether the thread is the job's own: it would run the job's code, or keep an
    ordinary program from ending and is no package's."""
    codes: List[Optional[CodeType]] = [_code_of(type(thread).run)]
    for name in ("_target", "function"):
        codes.append(_code_of(getattr(thread, name, None)))
    if not all(map(_is_installed, codes)):
        return True
    if thread.daemon:
        return False
    return not any(code is not None and _is_of_package(code) for code in codes)


def _is_of_package(code: CodeType) -> bool:
    """Not of the standard library, but for the threads of executors, which wait for
    work that a module may give them."""
    file = code.co_filename
    return (
        not file.startswith(_LIBRARY + os.sep)
        or "-packages" in file
        or (file.endswith("/concurrent/futures/thread.py"))
    )


def _code_of(function: Any) -> Optional[CodeType]:
    function = getattr(function, "func", function)  # of a partial
    function = getattr(function, "__func__", function)  # of a method
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
