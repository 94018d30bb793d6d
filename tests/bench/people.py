# SPDX-License-Identifier: MIT
"""What programs of people meet: two of them on one slot, a process of its own for each
job, and large data that many jobs share."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path

import understudy
from bench.jobs import byte_of, noop
from support import Broker, Node

Numbers = dict[str, float]

SECONDS = 4.0
PAUSE = 0.03
SHARED_BYTES = 40 << 20
SHARED_JOBS = 12

# One job in flight, for so long; each copy of it is a program of its own.
PROGRAM = """
import sys
import time

from understudy import Executor


def noop():
    pass


channel, broker, seconds = sys.argv[1:]
with Executor(channel, broker=broker) as executor:
    for _ in range(100):
        executor.submit(noop).result()
    print("ready", flush=True)
    sys.stdin.readline()
    count, end = 0, time.monotonic() + float(seconds)
    while time.monotonic() < end:
        executor.submit(noop).result()
        count += 1
print(count / float(seconds))
"""


def rates(folder: Path, endpoint: str, names: list[str]) -> list[float]:
    """Jobs/s of programs that run at the same time."""
    users = []
    for name in names:
        file = folder / f"{name}.py"
        file.write_text(PROGRAM)
        command = [sys.executable, file, "bench-one", endpoint, str(SECONDS)]
        users.append(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for user in users:
        assert user.stdout and user.stdout.readline() == "ready\n"
    for user in users:
        assert user.stdin
        user.stdin.write("\n")
        user.stdin.flush()
    return [float(user.communicate()[0]) for user in users]


def programs(folder: Path, endpoint: str) -> Numbers:
    """One slot: a program alone, beside another one, and twice, sharing a worker: so
    much the processors give two clients."""
    alone = rates(folder, endpoint, ["alone"])
    copies = rates(folder, endpoint, ["same", "same"])
    both = rates(folder, endpoint, ["one", "other"])
    return {
        "one_program_per_s": alone[0],
        "slower_of_two_copies_per_s": min(copies),
        "slower_of_two_programs_per_s": min(both),
    }


def single_us(executor: Executor, count: int) -> float:
    """One job at a time, so that what is done behind its back is done."""
    times = []
    for _ in range(count):
        time.sleep(PAUSE)
        begin = time.perf_counter()
        executor.submit(noop).result()
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def fresh(endpoint: str, count: int = 100) -> Numbers:
    """A process of its own for each job, beside a kept worker."""
    medians = {}
    for name, isolation in (("kept", None), ("fresh", "fresh")):
        more = {"isolation": isolation} if isolation else {}
        with understudy.Executor("bench", broker=endpoint, **more) as executor:
            executor.submit(noop).result()
            medians[name] = single_us(executor, count)
    return {
        "kept_single_p50_us": medians["kept"],
        "fresh_single_p50_us": medians["fresh"],
    }


def shared(executor: Executor) -> Numbers:
    """From the first call with the same new data to the last result."""
    executor.submit(noop).result()
    data = os.urandom(SHARED_BYTES)
    begin = time.perf_counter()
    futures = [executor.submit(byte_of, data, i) for i in range(SHARED_JOBS)]
    assert [future.result() for future in futures] == list(data[:SHARED_JOBS])
    return {"shared_ms": (time.perf_counter() - begin) * 1e3}


def measure(
    folder: Path,
    broker: Broker,
    contestants: dict[str, Callable[[], object]],
    rounds: int,
) -> dict[str, Numbers]:
    numbers: dict[str, Numbers] = {}
    with ExitStack() as stack:
        node = Node(
            folder,
            {
                "broker": broker.endpoint,
                "channel": "bench-one",
                "slots": 1,
                "python": "/usr/bin/python3",
                "cache": folder / "cache-one",
            },
        )
        stack.callback(node.stop)
        numbers["understudy"] = programs(folder, broker.endpoint)
    numbers["understudy"] |= fresh(broker.endpoint)
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for name in [*contestants, *reversed(list(contestants))] * rounds:
        with contestants[name]() as executor:  # type: ignore[attr-defined]
            taken[name].append(shared(executor)["shared_ms"])
    for name, times in taken.items():
        numbers.setdefault(name, {})["shared_ms"] = statistics.median(times)
    return numbers
