# SPDX-License-Identifier: MIT
"""understudy._core without a broker: jobs are kept here, and the test ends them."""

from __future__ import annotations

import copy
import hashlib
import os
import queue
import re
import threading
from pathlib import Path

from understudy import _envelope, exceptions

EVENT_ACCEPTED, EVENT_RUNNING, EVENT_LOG, EVENT_ENDED = 1, 2, 4, 8
RUNNING = -15
HEADER = Path(__file__).resolve().parents[3] / "include/understudy/understudy.h"
STATES = tuple(
    (int(number), name, is_end == "true")
    for name, number, is_end in re.findall(
        r"X \((\w+), (\d+), (true|false)\)", HEADER.read_text()
    )
)


def new_id(channel: str) -> bytes:
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    raw[15] = hashlib.sha256(channel.encode()).digest()[0]
    return bytes(raw)


def default_broker() -> str:
    return "tcp://127.0.0.1:7420"


class Blob:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.digest = hashlib.sha256(data).digest()
        self.size = len(data)


class Client:
    made: list[Client] = []

    def __init__(self, **settings) -> None:
        self.settings = settings
        self.max_payload = 64 << 20
        self.max_buffer = 1 << 30
        self.max_buffers = 4 << 30
        self.jobs: list[Job] = []
        self.connects = 0
        self.unreachable = False
        self.listened = True
        self.accept = True
        self.events: queue.SimpleQueue = queue.SimpleQueue()
        self.opened: dict[bytes, Job] = {}
        Client.made.append(self)

    def connect(self) -> None:
        self.connects += 1
        if self.unreachable:
            raise exceptions.BrokerUnreachable("no broker answers at tcp://nowhere:1")

    def submit(self, channel, body, **options) -> Job:
        job_id = options.pop("id", None) or new_id(channel)
        job = Job(self, job_id, channel, body, options)
        self.jobs.append(job)
        self.opened[job.id] = job
        if not self.listened and not options.get("queue", True):
            job.end(15, exceptions.NoUnderstudiesError.code, text=f"nobody: {channel}")
        elif self.accept:
            job.state = 1
        return job

    def open(self, id: bytes) -> Job:
        if id in self.opened:
            return copy.copy(self.opened[id])  # with a body of its own
        job = Job(self, id, "", b"", {})
        job.end(15, exceptions.JobNotFound.code, text="no such job")
        return job

    def wait_events(self, timeout):
        event = self.events.get()
        return [] if event is None else [event]

    def flush(self, timeout: float) -> int:
        return sum(job.state == 0 for job in self.jobs)

    def close(self) -> None:
        self.events.put(None)


class Job:
    def __init__(self, client, id, channel, body, options) -> None:
        self.client, self.id, self.channel = client, id, channel
        self.submitted, self.options = body, options
        self.state, self.code, self.text, self.body = 0, RUNNING, "", b""
        self.buffers = ()
        self.logged = [b"", b""]
        self.ended = threading.Event()
        self.subscribed = None
        self.cancels: list[int] = []

    @property
    def info(self):
        return {"attempt": 1}

    def run(self) -> None:
        self.state = 3
        self._tell(EVENT_RUNNING)

    def log(self, data: bytes, stream: int = 0) -> None:
        self.logged[stream] += data

    def finish(self, value) -> None:
        self.end(5, 0, _envelope.encode_value(value))

    def end(self, state, code, body=b"", text="") -> None:
        self.state, self.code, self.body, self.text = state, code, body, text
        self.ended.set()
        self._tell(EVENT_ENDED)

    def _tell(self, types) -> None:
        if self.subscribed and self.subscribed[0] & types:
            self.client.events.put((types, self, self.subscribed[1]))

    def subscribe(self, types, user) -> None:
        self.subscribed = (types, user)
        if self.ended.is_set():
            self._tell(EVENT_ENDED)
        elif self.state == 3:
            self._tell(EVENT_RUNNING)

    def accepted(self, timeout=None) -> int:
        if self.state == 15:
            return self.code
        if self.state == 0:
            raise exceptions.WaitTimeout()
        return 0

    def wait(self, timeout=None) -> bool:
        return self.ended.wait(timeout)

    def drop_body(self) -> None:
        if self.ended.is_set():
            self.body = b""

    def stream_log(self, stream=0) -> None:
        pass

    def read_log(self, stream, offset, size, timeout):
        data = self.logged[stream][offset : offset + size]
        if data:
            return data
        if self.ended.wait(timeout):
            return self.logged[stream][offset : offset + size]
        return None

    def cancel(self, mode, timeout):
        self.cancels.append(mode)
        if self.ended.is_set():
            return exceptions.JobEnded.code, self.state
        if self.state == 3 and mode == 0:
            return exceptions.JobRunning.code, self.state
        self.end(7, exceptions.JobCancelled.code, text="cancelled")
        return 0, 7
