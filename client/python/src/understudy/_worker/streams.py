# SPDX-License-Identifier: MIT
"""The log of a job: descriptors 1 and 2, sys.stdout, sys.stderr and the root logger.

All of them lead to one pipe. A job may close, redirect or replace any of them; end_job
writes out what they still hold, closes the job's part of the pipe with the marker and
makes everything as it was.
"""

from __future__ import annotations

import faulthandler
import io
import logging
import operator
import os
import struct
import sys
from typing import Any, Callable, List, Optional, TextIO

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
        self._fields: Any = None
        self._plain: List[Any] = []  # what a module has wrapped stays open
        self._made: List[Any] = []  # the last that were opened here, one of each
        self._handler = _CurrentStderr()
        self._handler.setFormatter(logging.Formatter("%(message)s"))
        self._reset_descriptors()
        self._reset_objects()
        self._set_up_logging()
        self.take()

    def take(self) -> None:
        """Makes the present streams those that each job finds, if they can be used."""
        for name, own in (("stdout", self._out), ("stderr", self._err)):
            present = getattr(sys, name)
            if present is not own and _is_open(present):
                self._plain.append(own)
                if name == "stdout":
                    self._out = present
                else:
                    self._err = present
        self._fields = _fields_of(self._out), _fields_of(self._err)

    def end_job(self, seq: int) -> None:
        """PipeClosed."""
        out, err = sys.stdout, sys.stderr
        whole = _flush(out) and _flush(err)
        if out is not self._out or err is not self._err:
            whole = _flush(self._out) and _flush(self._err) and whole
        self._c_flush()
        if out is not self._out:
            self._disarm(out)
        if err is not self._err and err is not out:
            self._disarm(err)
        self._reset_descriptors()
        if not whole:
            # The descriptor was closed or did not take it; now it does.
            _flush(self._out)
            _flush(self._err)
        self._mark(self._token + _SEQ(seq))
        if out is not self._out or err is not self._err or not whole:
            self._reset_objects()

    def _disarm(self, stream: Any) -> None:
        """A stream of the job's that writes to the log's descriptors must not close
        them, or the buffer of ours that it wraps, when it is thrown away."""
        if type(stream) is not io.TextIOWrapper:
            return
        try:
            if stream.fileno() not in (1, 2):
                return
            buffer = stream.detach()
            if all(buffer is not getattr(own, "buffer", None) for own in self._own()):
                buffer.close()
        except (OSError, ValueError):
            pass

    def _open(self, fd: int, errors: str) -> TextIO:
        made = _open(fd, errors)
        self._made = [*self._made[-1:], made]
        return made

    def _own(self) -> List[Any]:
        return [self._out, self._err, *self._plain]

    def _reset_descriptors(self) -> None:
        os.dup2(self._pipe, 1)
        os.dup2(self._pipe, 2)

    def _reset_objects(self) -> None:
        if not _is_open(self._out):
            self._out = self._open(1, "surrogateescape")
        if not _is_open(self._err):
            self._err = self._open(2, "backslashreplace")
        sys.stdout = sys.__stdout__ = self._out  # type: ignore[misc, assignment]
        sys.stderr = sys.__stderr__ = self._err  # type: ignore[misc, assignment]

    def put_back_slow(self) -> None:
        """What reconfigure has changed, and where a crash is written. How lines end
        cannot be asked for: our own streams leave them as they are."""
        faulthandler.enable(self._pipe)
        if (_fields_of(self._out), _fields_of(self._err)) != self._fields:
            self._reset_fields()
        for stream in (self._out, self._err):
            if stream in self._made:
                stream.reconfigure(newline=None)  # type: ignore[union-attr]

    def _reset_fields(self) -> None:
        for stream, fields in zip((self._out, self._err), self._fields):
            if fields is not None and _fields_of(stream) not in (None, fields):
                encoding, errors, by_line, write_through = fields
                stream.reconfigure(  # type: ignore[union-attr]
                    encoding=encoding,
                    errors=errors,
                    line_buffering=by_line,
                    write_through=write_through,
                )
        self._fields = _fields_of(self._out), _fields_of(self._err)

    def _set_up_logging(self) -> None:
        root = logging.getLogger()
        root.handlers[:] = [self._handler]
        root.setLevel(logging.INFO)

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


_text_fields = operator.attrgetter(
    "encoding", "errors", "line_buffering", "write_through"
)


def _fields_of(stream: Any) -> Any:
    """What reconfigure may change."""
    return _text_fields(stream) if type(stream) is io.TextIOWrapper else None


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
