# SPDX-License-Identifier: MIT
"""From an exception in a job to its failure envelope.

Everything here runs on objects of the job: their __str__ or __reduce__ may raise or
give nonsense. What they do not give is left out; an envelope is made in any case.
"""

from __future__ import annotations

import os
import pickle
import re
import traceback
from typing import Any, Callable, List, Optional, Set, Tuple

from understudy import _context, exceptions
from understudy._envelope import Dumps, Failure, Loads, encode_pickle
from understudy._running import exit_status

REMOTE = exceptions.RemoteError.code

_TEXT_LIMIT = 64 * 1024
_TRACEBACK_LIMIT = 256 * 1024
_FRAMES_LIMIT = 200
_PICKLE_LIMIT = 1024 * 1024

# Failures of the runtime and of interrupts keep their own number; whatever else comes
# out of a job is the job's own exception.
_OWN = (
    exceptions.SerializationError,
    exceptions.PythonVersionError,
    exceptions.ProtocolError,
    exceptions.PayloadTooLarge,
    exceptions.TimeLimitExceeded,
)

_OF_RESULTS = re.compile(
    "has no attribute '(accepted|cancel|check|done|exception|get|info|interrupt|log|"
    "result|running|status|stream_log|uuid)'"
)
_NOTE = (
    "inside a job, a decorated function runs in place: calling it gives its value, not "
    "a Result"
)


class Failures:
    def __init__(self, runtime: str, relative: Callable[[str], str]) -> None:
        """runtime: the directory on sys.path that understudy comes from. relative: from
        a file's name to what it is called in its bundle."""
        self._hidden = os.path.join(runtime, "understudy", "")
        self._relative = relative

    def of(self, exc: BaseException, dumps: Dumps, loads: Loads, own: bool) -> Failure:
        """own: the runtime raised it, or an interrupt did."""
        kind = type(exc)
        if kind is AttributeError and _context.ran_in_place:
            _note_value(exc)
        failure = Failure(
            exc.code if own and isinstance(exc, _OWN) else REMOTE,
            _attribute(kind, "__qualname__"),
            _text(exc),
            _attribute(kind, "__module__"),
        )
        try:
            failure.traceback, failure.frames = self._describe(exc)
        except Exception as problem:
            failure.traceback = f"(no traceback: {type(problem).__name__})"
        if isinstance(exc, SystemExit):
            failure.detail["exit_status"] = exit_status(exc)
        if not own:
            failure.pickle = _pickle(exc, dumps, loads)
        return failure

    def _describe(self, exc: BaseException) -> Tuple[str, List[List[Any]]]:
        report = traceback.TracebackException(type(exc), exc, exc.__traceback__)
        self._rename(report, set())
        frames = [[f.filename, f.lineno or 0, f.name] for f in report.stack]
        if len(frames) > _FRAMES_LIMIT:
            half = _FRAMES_LIMIT // 2
            frames = frames[:half] + frames[-half:]
        return _shorten("".join(report.format()), _TRACEBACK_LIMIT), frames

    def _rename(
        self, report: Optional[traceback.TracebackException], seen: Set[int]
    ) -> None:
        """Leaves out the runtime's frames, and the node's directories in the others."""
        if report is None or id(report) in seen:
            return
        seen.add(id(report))
        stack = report.stack
        stack[:] = [f for f in stack if not f.filename.startswith(self._hidden)]
        for frame in stack:
            frame.line  # noqa: B018 - read while the file still has its name
            frame.filename = self._relative(frame.filename)
        self._rename(report.__cause__, seen)
        self._rename(report.__context__, seen)
        for part in getattr(report, "exceptions", None) or ():
            self._rename(part, seen)


def _note_value(exc: BaseException) -> None:
    """Of f(1).get() in a job: what gives a Result in a program is a value here."""
    if _OF_RESULTS.search(_text(exc)) is None:
        return
    notes = getattr(exc, "__notes__", [])
    try:
        exc.__notes__ = [*notes, _NOTE]
    except Exception:  # noqa: S110 - it does without
        pass


def _attribute(kind: type, name: str) -> str:
    value = getattr(kind, name, "")
    return value if type(value) is str else ""


def _text(exc: BaseException) -> str:
    try:
        return _shorten(str(exc), _TEXT_LIMIT)
    except Exception as problem:
        return f"(no text: __str__ raised {type(problem).__name__})"


def _shorten(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - limit} characters ...\n{text[-half:]}"


def _pickle(exc: BaseException, dumps: Dumps, loads: Loads) -> Optional[bytes]:
    """The exception itself, where it also comes back: many pickle and do not load."""
    try:
        data, has_code = dumps(exc)
        if len(data) > _PICKLE_LIMIT or type(loads(data)) is not type(exc):
            return None
        return encode_pickle(data, has_code)
    except (Exception, pickle.PickleError):
        return None
