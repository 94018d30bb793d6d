# SPDX-License-Identifier: MIT
"""Processes under test: started, waited for, stopped, and looked for afterwards."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .paths import PATIENCE

T = TypeVar("T")

_KEPT = (
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_REPORTS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error: ",
    "assertion failed",
)


def wait_for(
    condition: Callable[[], T], timeout: float = 30.0, what: str | None = None
) -> T:
    """The first true value of condition; AssertionError after timeout seconds."""
    deadline = time.monotonic() + timeout * PATIENCE
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(f"not within {timeout} s: {name} (last: {value!r})")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


_reserved: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of the loopback that nobody is given until this process ends: it stays
    bound. Who asks for it by number gets it all the same, by SO_REUSEADDR; until then
    connections are refused."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    _reserved.append(sock)
    return int(sock.getsockname()[1])


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """An environment with nothing of the caller's pip, uv, Python or understudy."""
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
    env.update({name: os.environ[name] for name in _KEPT if name in os.environ})
    env.update(more)
    return env


class Process:
    """A running program; its output goes to a file in directory."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        directory: Path,
        env: Mapping[str, str],
        ready_fd: bool = False,
        timeout: float = 60.0,
        **popen: Any,
    ) -> None:
        self.name = name
        self.ready_line = ""
        self.output_path = directory / f"{name}.{time.monotonic_ns():x}.log"
        arguments = [str(part) for part in argv]
        reading = writing = -1
        if ready_fd:
            reading, writing = os.pipe()
            arguments += ["--ready-fd", str(writing)]
            popen["pass_fds"] = (writing, *popen.get("pass_fds", ()))
        popen.setdefault("stdin", subprocess.DEVNULL)
        with open(self.output_path, "wb") as output:
            popen.setdefault("stdout", output)
            self.popen = subprocess.Popen(
                arguments, stderr=output, env=dict(env), cwd=directory, **popen
            )
        if ready_fd:
            os.close(writing)
            self._wait_ready(reading, timeout)

    def _wait_ready(self, reading: int, timeout: float) -> None:
        deadline = time.monotonic() + timeout * PATIENCE
        line = b""
        try:
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([reading], [], [], left)[0]:
                    self.kill()
                    raise AssertionError(f"{self.name} is not ready:\n{self.output}")
                chunk = os.read(reading, 4096)
                if not chunk:
                    code = self.wait()
                    raise StartError(self.name, code, self.output)
                line += chunk
        finally:
            os.close(reading)
        self.ready_line = line.decode().strip()

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        """Standard error, and standard output unless it was asked for."""
        return self.output_path.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def rss(self) -> int:
        """Resident memory in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, of this process alone."""
        if self.running:
            self.popen.kill()
        self.popen.wait()

    def wait(self, timeout: float = 60.0) -> int:
        """The exit code."""
        return self.popen.wait(timeout * PATIENCE)

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM, and the exit code; a program that does not end is a failure."""
        if self.running:
            self.resume()
            self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} does not end after SIGTERM:\n{self.output}"
            ) from None

    def check_reports(self) -> None:
        """AssertionError where a sanitizer or an assertion has spoken."""
        output = self.output
        for report in _REPORTS:
            assert report not in output, f"{self.name}:\n{output}"


class StartError(AssertionError):
    """A program that ended before it was ready."""

    def __init__(self, name: str, code: int, output: str) -> None:
        super().__init__(f"{name} ended with {code}:\n{output}")
        self.code = code
        self.output = output


# --- What is left behind -----------------------------------------------------------


def adopt_orphans() -> None:
    """Orphans become children of this process, so that none can hide."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def _children(pid: int) -> Iterator[int]:
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = Path(f"/proc/{pid}/task/{task}/children").read_text()
            yield from map(int, children.split())
    except OSError:
        return


def descendants(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    found = list(_children(pid))
    for child in list(found):
        found += descendants(child)
    return found


def command_line(pid: int) -> str:
    """Empty where the process has gone or is a zombie."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def alive(pid: int) -> bool:
    """Runs, and is not a zombie that nobody has reaped yet."""
    return command_line(pid) != ""


def reap_orphans() -> None:
    """Takes the exit codes of adopted orphans. Only between tests: Popen objects would
    miss theirs."""
    for pid in list(_children(os.getpid())):
        if not alive(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def leftovers(ignored: set[int]) -> dict[int, str]:
    """Running descendants of this process that nobody stopped."""
    lines = {pid: command_line(pid) for pid in descendants(os.getpid())}
    return {
        pid: line
        for pid, line in lines.items()
        if line and pid not in ignored and "multiprocessing" not in line
    }
