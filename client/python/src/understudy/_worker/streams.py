# SPDX-License-Identifier: MIT
"""The log of a job: descriptors 1 and 2, sys.stdout, sys.stderr and the root logger.

All of them lead to one pipe. A job may close, redirect or replace any of them; end_job
writes out what they still hold, closes the job's part of the pipe with the marker and
makes everything as it was.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import sys
from typing import Any, Callable, Optional, TextIO

_SEQ = struct.Struct(">I").pack


class PipeClosed(Exception):
    """The daemon does not read the log any more."""


class _CurrentStderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to the sys.stderr of that moment, as print does with sys.stdout."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        pass


class Streams:
    def __init__(self, pipe: int, token: bytes, c_flush: Callable[[], object]) -> None:
        """pipe: a descriptor of its own for the write end; stays open for ever."""
        self._pipe = pipe
        self._token = token
        self._c_flush = c_flush
        self._out: Optional[TextIO] = None
        self._err: Optional[TextIO] = None
        self._root = logging.getLogger()
        self._handler = _CurrentStderr()
        self._handler.setFormatter(logging.Formatter("%(message)s"))
        self._handlers = [self._handler]
        self._reset_descriptors()
        self._reset_objects()
        self._reset_logging()

    def end_job(self, seq: int) -> None:
        """PipeClosed."""
        out, err = sys.stdout, sys.stderr
        whole = _flush(out) and _flush(err)
        if out is not self._out or err is not self._err:
            whole = _flush(self._out) and _flush(self._err) and whole
        self._c_flush()
        self._reset_descriptors()
        if not whole:
            # The descriptor was closed or did not take it; now it does.
            _flush(self._out)
            _flush(self._err)
        self._mark(self._token + _SEQ(seq))
        if out is not self._out or err is not self._err or not whole:
            self._reset_objects()
        root = self._root
        if (
            root.handlers != self._handlers
            or root.level != logging.INFO
            or root.manager.disable
        ):
            self._reset_logging()

    def _reset_descriptors(self) -> None:
        os.dup2(self._pipe, 1)
        os.dup2(self._pipe, 2)

    def _reset_objects(self) -> None:
        if not _is_open(self._out):
            self._out = _open(1, "surrogateescape")
        if not _is_open(self._err):
            self._err = _open(2, "backslashreplace")
        sys.stdout = sys.__stdout__ = self._out  # type: ignore[misc, assignment]
        sys.stderr = sys.__stderr__ = self._err  # type: ignore[misc, assignment]

    def _reset_logging(self) -> None:
        self._root.handlers[:] = self._handlers
        self._root.setLevel(logging.INFO)
        self._handler.setLevel(logging.NOTSET)
        logging.disable(logging.NOTSET)

    def _mark(self, marker: bytes) -> None:
        while True:
            try:
                done = os.write(self._pipe, marker)
            except BlockingIOError:
                # The job has made the pipe non-blocking, which all its users share.
                os.set_blocking(self._pipe, True)
                continue
            except OSError as exc:
                raise PipeClosed(str(exc)) from None
            if done != len(marker):
                raise PipeClosed("the marker was written in part")
            return


def _open(fd: int, errors: str) -> TextIO:
    raw = io.FileIO(fd, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors=errors, line_buffering=True
    )


def _is_open(stream: Optional[TextIO]) -> bool:
    if stream is None:
        return False
    try:
        return not stream.closed and stream.buffer.writable()
    except (AttributeError, ValueError):  # detached
        return False


def _flush(stream: Any) -> bool:
    """Whether nothing is left in the stream that the log should have."""
    if stream is None:
        return True
    for _ in range(2):
        try:
            stream.flush()
            return True
        except BlockingIOError:
            for fd in (1, 2):
                try:
                    os.set_blocking(fd, True)
                except OSError:
                    pass
        except Exception:  # a stream of the job's may raise whatever it likes
            return False
    return False
