# SPDX-License-Identifier: MIT
"""Window: how many jobs of one Executor may be under way at a time.

What is over the limit is held, in order, and sent as those before it end. The program's
end waits until all has been sent, as it does for the pools of the standard library.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Deque, Tuple

from understudy._client import Client
from understudy._held import HeldJob, Send

_windows: weakref.WeakSet[Window] = weakref.WeakSet()
interpreter_ends = False  # no Executor takes a job any more


class _Slot:
    """Tells a window that one of its jobs has ended. The window knows of the job only,
    so that the Result and its value are its owner's alone."""

    def __init__(self, window: Window, job: HeldJob) -> None:
        self._window = window
        self._job = job

    def _on_running(self) -> None:
        pass

    def _on_end(self) -> None:
        self._window._on_end(self._job)


class Window:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._under_way = 0
        self._held: Deque[Tuple[HeldJob, Send]] = deque()
        self._changed = threading.Condition()
        _windows.add(self)

    def add(self, client: Client, job: HeldJob, send: Send) -> None:
        """Sends a job now, or when there is room."""
        client.subscribe(job, _Slot(self, job))
        with self._changed:
            self._held.append((job, send))
        self._send()

    def after_fork(self) -> None:
        """What is held and under way is the parent's."""
        self._under_way = 0
        self._held.clear()
        self._changed = threading.Condition()

    def drain(self) -> None:
        """Waits until nothing is held any more."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held)

    def _on_end(self, job: HeldJob) -> None:
        if job.was_sent:
            with self._changed:
                self._under_way -= 1
        self._send()

    def _send(self) -> None:
        while True:
            with self._changed:
                while self._held and self._held[0][0].state:  # has been cancelled
                    self._held.popleft()
                if not self._held or self._under_way >= self._limit:
                    self._changed.notify_all()
                    return
                job, send = self._held.popleft()
                self._under_way += 1
            if not job.release(send):
                with self._changed:
                    self._under_way -= 1


def _after_fork() -> None:
    for window in list(_windows):
        window.after_fork()


def _at_threading_exit() -> None:
    global interpreter_ends
    interpreter_ends = True
    for window in list(_windows):
        window.drain()


os.register_at_fork(after_in_child=_after_fork)
try:
    # Before the thread of events is stopped, which sends what is held.
    threading._register_atexit(_at_threading_exit)  # type: ignore[attr-defined]
except RuntimeError:
    interpreter_ends = True
