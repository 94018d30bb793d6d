# SPDX-License-Identifier: MIT
"""What belongs to the process and not to a module, and how each of it is put back.

A setting is a pair of functions, one that gives the present state and one that puts a
state back. Those of slow() are compared when no job waits; those of quick() after each
job, where a Fingerprint tells in a few steps whether anything may have changed: between
two jobs nothing is in the processor's caches, and each object looked at costs as much
as a page of code does in a loop.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found, unused-ignore]
import builtins
import faulthandler
import gc
import locale
import logging
import operator
import os
import random
import resource
import socket
import sys
import threading
import time
import warnings
from contextvars import copy_context
from typing import Any, Callable, Dict, List, NamedTuple, Tuple


class Setting(NamedTuple):
    get: Callable[[], Any]
    put: Callable[[Any], object]  # OSError, ValueError: it cannot be put back
    of_imports: bool = False  # a module may set it when it is imported


class Settings:
    """Some settings and the state that they had."""

    def __init__(self, settings: Tuple[Setting, ...]) -> None:
        self._settings = settings
        self._gets = [setting.get for setting in settings]
        self._before: List[Any] = []
        self.take()

    def take(self) -> None:
        self._before = [get() for get in self._gets]

    def put_back(self, imported: bool) -> bool:
        """Whether all is as it was. imported: a module has come since, which may have
        set what modules do; that stays."""
        now = [get() for get in self._gets]
        if now == self._before:
            return True
        whole = True
        for index, setting in enumerate(self._settings):
            if now[index] == self._before[index]:
                continue
            if imported and setting.of_imports:
                self._before[index] = now[index]
                continue
            try:
                setting.put(self._before[index])
            except (OSError, ValueError):
                whole = False
        return whole


# --- A first look ---------------------------------------------------------------------

_of_sys = operator.attrgetter(
    "path",
    "argv",
    "meta_path",
    "path_hooks",
    "modules",
    "excepthook",
    "displayhook",
    "breakpointhook",
    "unraisablehook",
)
_of_threading = operator.attrgetter("excepthook", "_trace_hook", "_profile_hook")
_of_warnings = operator.attrgetter("filters", "showwarning", "formatwarning")
_of_root = operator.attrgetter(
    "level", "propagate", "disabled", "handlers", "filters", "manager.disable"
)
_UNCHANGED = object()


class Fingerprint:
    """Tells whether what quick() has, or any logger, may be another than it was.

    Lists are compared by what they hold, everything else mostly by identity. Of loggers
    but the root nothing is looked at: to set a level empties the root's cache, in which
    something of ours stands, and a new handler makes logging's own list of them longer.
    What neither shows (propagate, disabled, filters) is found when no job waits.
    """

    def __init__(self) -> None:
        self._root = logging.getLogger()
        self._handlers: List[Any] = logging._handlerList  # type: ignore[attr-defined]
        self._cache: Dict[Any, Any] = self._root._cache  # type: ignore[attr-defined]
        self.take()

    def take(self) -> None:
        self._cache[_UNCHANGED] = True
        self._count = len(self._handlers)
        self._of_sys = _kept(_of_sys(sys))
        self._of_threading = _of_threading(threading)
        self._of_warnings = _kept(_of_warnings(warnings))
        self._of_root = _kept(_of_root(self._root))
        self._tracing = sys.gettrace(), sys.getprofile()

    def is_same(self) -> bool:
        try:
            return (
                _of_sys(sys) == self._of_sys
                and _of_warnings(warnings) == self._of_warnings
                and _of_root(self._root) == self._of_root
                and _UNCHANGED in self._cache
                and len(self._handlers) == self._count
                and _of_threading(threading) == self._of_threading
                and (sys.gettrace(), sys.getprofile()) == self._tracing
            )
        except Exception:  # something is missing, or compares as it likes
            return False


def _kept(values: Tuple[Any, ...]) -> Tuple[Any, ...]:
    return tuple(value[:] if type(value) is list else value for value in values)


# --- The interpreter ------------------------------------------------------------------

_sys_hooks = operator.attrgetter(
    "excepthook", "displayhook", "breakpointhook", "unraisablehook"
)


def _get_hooks() -> Tuple[Any, ...]:
    return (*_sys_hooks(sys), *_of_threading(threading))


def _put_hooks(hooks: Tuple[Any, ...]) -> None:
    sys.excepthook, sys.displayhook, sys.breakpointhook = hooks[:3]
    sys.unraisablehook, threading.excepthook = hooks[3:5]
    threading.settrace(hooks[5])
    threading.setprofile(hooks[6])


def _get_gc() -> Tuple[Any, ...]:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.callbacks[:]


def _put_gc(state: Tuple[Any, ...]) -> None:
    enabled, threshold, debug, callbacks = state
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(debug)
    gc.callbacks[:] = callbacks


def _list_of_sys(name: str, of_imports: bool = False) -> Setting:
    """A list that others may hold on to: the same object gets its old content."""
    original = getattr(sys, name)

    def get() -> Any:
        present = getattr(sys, name)
        return list(present) if present is original else None

    def put(content: List[Any]) -> None:
        original[:] = content
        setattr(sys, name, original)

    return Setting(get, put, of_imports)


def _get_warnings() -> Tuple[Any, ...]:
    return list(warnings.filters), warnings.showwarning, warnings.formatwarning


def _put_warnings(state: Tuple[Any, ...]) -> None:
    warnings.filters[:] = state[0]  # type: ignore[index]
    warnings.showwarning, warnings.formatwarning = state[1:]


_shown_once: Dict[Any, Any] = warnings.onceregistry  # type: ignore[attr-defined]
_forget_shown: Callable[[], object] = getattr(
    warnings,
    "_filters_mutated",
    getattr(warnings, "_filters_mutated_lock_held", lambda: None),
)


def show_warnings_again() -> None:
    """What was shown once is shown once more: a module forgets what it has shown when
    the version of the filters is another."""
    _shown_once.clear()
    _forget_shown()


def _get_decimal() -> Any:
    """Of the context in which jobs begin; each changes a copy, unless a module that was
    loaded has made one for all."""
    for variable, context in copy_context().items():
        if variable.name == "decimal_context":
            # A context compares by identity, what it holds by value.
            return _of_decimal(context), context.traps.copy(), context.flags.copy()
    return None


_of_decimal = operator.attrgetter(
    "prec", "rounding", "Emin", "Emax", "capitals", "clamp"
)


def _put_decimal(state: Any) -> None:
    import decimal

    if state is None:
        decimal.setcontext(decimal.Context())
        return
    (prec, rounding, low, high, capitals, clamp), traps, flags = state
    decimal.setcontext(
        decimal.Context(prec, rounding, low, high, capitals, clamp, flags, traps)
    )


def _get_loop_policy() -> Any:
    events = sys.modules.get("asyncio.events")
    return getattr(events, "_event_loop_policy", None)


def _put_loop_policy(policy: Any) -> None:
    sys.modules["asyncio.events"]._event_loop_policy = policy  # type: ignore[attr-defined]


def _get_tracemalloc() -> int:
    """Frames that are traced for each block; 0: nothing is traced."""
    tracemalloc: Any = sys.modules.get("_tracemalloc")
    if tracemalloc is None or not tracemalloc.is_tracing():
        return 0
    return int(tracemalloc.get_traceback_limit())


def _put_tracemalloc(frames: int) -> None:
    tracemalloc = sys.modules["_tracemalloc"]
    tracemalloc.stop()
    if frames:
        tracemalloc.start(frames)


def quick() -> Tuple[Setting, ...]:
    return (
        Setting(sys.gettrace, sys.settrace),
        Setting(sys.getprofile, sys.setprofile),
        Setting(_get_hooks, _put_hooks),
        Setting(_get_warnings, _put_warnings, of_imports=True),
        _list_of_sys("path"),
        _list_of_sys("argv"),
        _list_of_sys("meta_path", of_imports=True),
        _list_of_sys("path_hooks", of_imports=True),
    )


# --- The process ----------------------------------------------------------------------

_SIGNALS = sorted(_signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP})
_LIMITS = sorted(
    {getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}
)
_TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)


def _get_limits() -> List[Tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in _LIMITS]


def _put_limits(state: List[Tuple[int, int]]) -> None:
    for limit, pair in zip(_LIMITS, state):
        if resource.getrlimit(limit) != pair:
            resource.setrlimit(limit, pair)  # ValueError: its hard limit was lowered


def _get_umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _get_signals() -> List[Any]:
    return [_signal.getsignal(signum) for signum in _SIGNALS]


def _put_signals(state: List[Any]) -> None:
    for signum, handler in zip(_SIGNALS, state):
        if handler is not None and _signal.getsignal(signum) != handler:
            _signal.signal(signum, handler)


def _put_mask(mask: Any) -> None:
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _get_builtins() -> Dict[str, Any]:
    names = dict(vars(builtins))
    names.pop("_", None)  # the last value that a prompt has shown, or gettext's
    return names


def _put_builtins(names: Dict[str, Any]) -> None:
    for name in [name for name in _get_builtins() if name not in names]:
        delattr(builtins, name)
    vars(builtins).update(names)


def _set_zone(zone: Any) -> None:
    time.tzset()  # the variable that it is read from has been put back


def slow() -> Tuple[Setting, ...]:
    """Limits come first: what follows may need them."""
    digits = getattr(sys, "get_int_max_str_digits", None)
    return (
        Setting(_get_limits, _put_limits),
        Setting(_get_umask, os.umask),
        Setting(
            lambda: os.getpriority(os.PRIO_PROCESS, 0),
            lambda value: os.setpriority(os.PRIO_PROCESS, 0, value),
        ),
        Setting(
            lambda: os.sched_getaffinity(0),
            lambda processors: os.sched_setaffinity(0, processors),
        ),
        Setting(_get_signals, _put_signals),
        Setting(lambda: _signal.pthread_sigmask(_signal.SIG_BLOCK, ()), _put_mask),
        Setting(
            lambda: locale.setlocale(locale.LC_ALL, None),
            lambda names: locale.setlocale(locale.LC_ALL, names),
            of_imports=True,
        ),
        Setting(lambda: time.tzname, _set_zone),
        Setting(sys.getrecursionlimit, sys.setrecursionlimit),
        Setting(sys.getswitchinterval, sys.setswitchinterval),
        Setting(socket.getdefaulttimeout, socket.setdefaulttimeout),
        *([Setting(digits, sys.set_int_max_str_digits)] if digits else []),
        Setting(_get_gc, _put_gc),
        Setting(_get_decimal, _put_decimal, of_imports=True),
        Setting(_get_loop_policy, _put_loop_policy, of_imports=True),
        Setting(_get_tracemalloc, _put_tracemalloc),
        Setting(_get_builtins, _put_builtins, of_imports=True),
    )


def stop_timers() -> None:
    for timer in _TIMERS:
        _signal.setitimer(timer, 0)
    faulthandler.cancel_dump_traceback_later()
    _signal.set_wakeup_fd(-1)


# --- Random numbers -------------------------------------------------------------------


class Seed:
    """Notices that a job has seeded random, and seeds it from the system again.

    random.seed forgets the normal deviate that gauss has in store. One is put in store
    here; where it has gone after a job, random is seeded anew, which changes nothing
    for jobs that have only taken it.
    """

    def __init__(self) -> None:
        self._source: Any = random._inst  # that of the functions of the module
        self._stored: Any = None
        self._store()

    def _store(self) -> None:
        self._stored = self._source.gauss(0.0, 1.0)
        self._source.gauss_next = self._stored

    def take(self) -> None:
        """A module that was loaded may have seeded it: then its numbers are the
        module's."""
        if self._source.gauss_next is not self._stored:
            self._stored = None

    def put_back(self) -> None:
        if self._stored is None or self._source.gauss_next is self._stored:
            return
        self._source.seed()
        self._store()


# --- Logging --------------------------------------------------------------------------

_of_logger = operator.attrgetter("level", "propagate", "disabled")
_FRESH = (logging.NOTSET, True, False)


class Loggers:
    """Levels, handlers and filters of all loggers."""

    def __init__(self) -> None:
        self._manager = logging.getLogger().manager
        self._before: Dict[logging.Logger, Tuple[Any, ...]] = {}
        self._disable = 0
        self.take()

    def __len__(self) -> int:
        return len(self._manager.loggerDict)

    def _all(self) -> List[logging.Logger]:
        found = self._manager.loggerDict.values()
        named = [each for each in found if isinstance(each, logging.Logger)]
        return [self._manager.root, *named]

    def take(self) -> None:
        self._disable = self._manager.disable
        self._before = {
            logger: (
                _of_logger(logger),
                logger.handlers[:],
                logger.filters[:],
                [
                    (each, each.level, each.formatter, each.filters[:])
                    for each in logger.handlers
                    if isinstance(each, logging.Handler)
                ],
            )
            for logger in self._all()
        }

    def put_back(self, imported: bool) -> None:
        if imported:
            self.take()
            return
        for logger in self._all():
            before = self._before.get(logger)
            fields, handlers, filters, details = before or (_FRESH, [], [], [])
            if logger.handlers != handlers:
                logger.handlers[:] = handlers
            if logger.filters != filters:
                logger.filters[:] = filters
            if _of_logger(logger) != fields:
                level, logger.propagate, logger.disabled = fields
                logger.setLevel(level)
            for handler, level, formatter, filters in details:
                handler.level, handler.formatter = level, formatter
                if handler.filters != filters:
                    handler.filters[:] = filters
        if self._manager.disable != self._disable:
            logging.disable(self._disable)
