# SPDX-License-Identifier: MIT
"""Shell jobs: /bin/sh -c, standard output is the value and also goes to the log.

Standard error has a pipe of its own, read by the same loop: what was written to both
stands in the log in the order of writing wherever there was a moment in between.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import time
from typing import Any, Iterator, List, Optional, Tuple, Union

from understudy import exceptions
from understudy._envelope import Failure
from understudy._worker import system

_CHUNK = 65536
_OUTPUT_IN_FAILURE = 64 * 1024
_LOG_IN_FAILURE = 8 * 1024
_COMMAND_IN_FAILURE = 4096
_PIPE_HOLDS = 1024 * 1024
_ARGUMENT_PAGES = 32  # what Linux takes as one argument of a process
_TERM_SECONDS = 1.0
# Before Linux 5.3 a process has no descriptor, and its end is looked for this often.
_LOOK_MS = 20


class ShellFailed(Exception):
    """The command ended with something else than 0, or said too much."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def run(command: bytes, max_payload: int) -> Union[str, bytes]:
    """The command's standard output. ShellFailed; interrupts end the command."""
    both = bytearray()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        raise ShellFailed(_too_long(command)) from error
    try:
        output, size = _capture(process, max_payload, both)
        status = process.wait()
    except BaseException:
        _end_group(process)
        raise
    finally:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    if status != 0:
        raise ShellFailed(_failure(command, status, output, bytes(both)))
    if size > max_payload:
        raise ShellFailed(_too_large(size, max_payload))
    return _as_text(output)


def _capture(
    process: subprocess.Popen[bytes], limit: int, both: bytearray
) -> Tuple[bytes, int]:
    """Copies the output to the log until the shell has ended, and keeps up to limit
    bytes of it. Gives what was kept and how much there was. both: gets the last that
    was written to either stream."""
    assert process.stdout is not None and process.stderr is not None
    out = process.stdout.fileno()
    kept: List[bytes] = []
    size = 0
    for fd, chunk in _chunks(process, [out, process.stderr.fileno()]):
        _write_all(1, chunk)
        both += chunk
        del both[:-_LOG_IN_FAILURE]
        if fd != out:
            continue
        if size < limit:
            kept.append(chunk[: limit - size])
        size += len(chunk)
    return b"".join(kept), size


def _chunks(
    process: subprocess.Popen[bytes], pipes: List[int]
) -> Iterator[Tuple[int, bytes]]:
    """Until all have closed the pipes, or the shell has ended and the pipes are empty:
    what the shell has left running in the background may hold them for ever."""
    poller = select.poll()
    for fd in pipes:
        os.set_blocking(fd, False)
        poller.register(fd, select.POLLIN)
    watch = system.open_pidfd(process.pid)
    if watch is not None:
        poller.register(watch, select.POLLIN)
    try:
        open_pipes = list(pipes)
        after_end = 0
        while open_pipes and after_end < _PIPE_HOLDS * len(pipes):
            poller.poll(_LOOK_MS if watch is None else None)
            ended = process.returncode is not None
            idle = True
            # Both, also where one is ready: the other may have got something since.
            for fd in list(open_pipes):
                chunk = _read(fd)
                if chunk == b"":
                    open_pipes.remove(fd)
                    poller.unregister(fd)
                elif chunk is not None:
                    idle = False
                    after_end += len(chunk) if ended else 0
                    yield fd, chunk
            if ended and idle:
                return
            process.poll()
    finally:
        if watch is not None:
            os.close(watch)


def _read(fd: int) -> Optional[bytes]:
    """None where there is nothing to read now; empty at the end."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            os.set_blocking(fd, True)


def _as_text(output: bytes) -> Union[str, bytes]:
    try:
        return output.decode()
    except UnicodeDecodeError:
        return output


def _failure(command: bytes, status: int, output: bytes, log: bytes) -> Failure:
    detail: dict[str, Any] = {
        "command": command[:_COMMAND_IN_FAILURE].decode(errors="replace"),
        "output": _as_text(output[-_OUTPUT_IN_FAILURE:]),
        "log": log.decode(errors="replace"),
    }
    if status < 0:
        detail["signal"] = -status
        message = f"the shell command was ended by signal {-status}"
    else:
        detail["exit_code"] = status
        message = f"the shell command ended with exit code {status}"
    return Failure(exceptions.ShellError.code, "ShellError", message, detail=detail)


def _too_large(size: int, limit: int) -> Failure:
    message = f"the output of the shell command has {size} bytes; the limit is {limit}"
    return Failure(exceptions.PayloadTooLarge.code, "PayloadTooLarge", message)


def _too_long(command: bytes) -> Failure:
    limit = _ARGUMENT_PAGES * os.sysconf("SC_PAGESIZE") - 1
    message = f"the shell command has {len(command)} bytes"
    if len(command) > limit:
        message += f"; the limit of this node is {limit}"
    else:
        message += ", too many beside the node's environment variables"
    return Failure(exceptions.PayloadTooLarge.code, "PayloadTooLarge", message)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to what the command has started, then SIGKILL.

    The command shares the worker's process group, so that the daemon reaches both; the
    worker itself is spared.
    """
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        os.killpg(0, signal.SIGTERM)
        deadline = time.monotonic() + _TERM_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in _group():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


def _group() -> Iterator[int]:
    """The other processes of this process's group."""
    group = os.getpgid(0)
    for pid in system.processes():
        try:
            if os.getpgid(pid) == group:
                yield pid
        except OSError:
            continue
