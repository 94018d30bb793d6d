# SPDX-License-Identifier: MIT
"""Runs a command and proves that nothing of it is left: no process (orphans included)
and nothing in its TMPDIR.

    contain.py command…

Ends with the command's exit code; with 1 where that was 0 and something was left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.processes import adopt_orphans, leftovers, reap_orphans  # noqa: E402

_LONGEST = 20  # of the folder for TMPDIR: tests make unix sockets below it


def _wait_for_ends(timeout: float) -> dict[int, str]:
    deadline = time.monotonic() + timeout
    while leftovers(set()) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = leftovers(set())
    reap_orphans()
    return left


def _make_folder() -> str:
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST:
        parent = "/tmp"
    return tempfile.mkdtemp(prefix="understudy-test-", dir=parent)


def main(argv: list[str]) -> int:
    adopt_orphans()
    # Ctrl-C and a stop reach the command too; this process outlives it to clean up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = _make_folder()
    command = subprocess.Popen(
        argv,
        env={**os.environ, "TMPDIR": folder},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    code = command.wait()
    processes = _wait_for_ends(30.0)
    for pid, line in processes.items():
        print(f"left behind: process {pid}: {line}", file=sys.stderr)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    files = sorted(os.listdir(folder))
    for name in files:
        print(f"left behind: {folder}/{name}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    return code or (1 if processes or files else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
