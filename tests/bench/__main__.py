# SPDX-License-Identifier: MIT
"""Measures no-op jobs through the Python client with everything on this machine: a
broker with its private Redis, and one node.

    round trip      one job in flight: p50 and p99, in microseconds
    submit, map     jobs/s of a burst, from the first call to the last result
    queued          bytes in Redis for each queued job, over its body

    programs        jobs/s with one in flight each, on one slot: a program alone, the
                    slower of two copies of one, and the slower of two programs
    single          p50 of one job at a time, 30 ms apart: kept, and isolation="fresh"
    shared          ms for 12 jobs that share 40 MiB, new each time

ProcessPoolExecutor does the same in the same run. Rounds are in ABBA order; what is
told is the median over rounds. Beside them stands what the machine gives at its best:

    flush           of 600 appended bytes to disk; a job waits for two of them where
                    durability is always
    tcp echo        an answer of another process; a job takes four such hops
    relay           p50 and p99 of the bare way of a job: processes in C that pass a
                    message on, and two writes to the same Redis (relay.c)

With --against DIR only Understudy is measured: this build in turn with the build of
another checkout, whose scripts/setup has run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import understudy
from bench import people, transports, versus
from bench.jobs import noop
from support import Broker, Node, Redis
from support.redis import operator_auth

Numbers = dict[str, float]

BUILD = Path(__file__).parents[2] / "build"


# --- Measures ----------------------------------------------------------------------


def round_trips(executor: Executor, count: int) -> Numbers:
    """One in flight."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        executor.submit(noop).result()
        times.append((time.perf_counter() - begin) * 1e6)
    cuts = statistics.quantiles(times, n=100)
    return {"p50_us": cuts[49], "p99_us": cuts[98]}


def by_submit(executor: Executor, count: int) -> Numbers:
    begin = time.perf_counter()
    futures = [executor.submit(noop) for _ in range(count)]
    wait(futures)
    elapsed = time.perf_counter() - begin
    for future in futures:
        future.result()
    return {"submit_per_s": count / elapsed}


def by_map(executor: Executor, count: int) -> Numbers:
    begin = time.perf_counter()
    for _ in executor.map(noop, range(count)):
        pass
    return {"map_per_s": count / (time.perf_counter() - begin)}


def one_round(executor: Executor, arguments: argparse.Namespace) -> Numbers:
    # What is made at the first call is not what is measured.
    wait([executor.submit(noop) for _ in range(100)])
    numbers = round_trips(executor, arguments.round_trips)
    numbers |= by_submit(executor, arguments.jobs)
    numbers |= by_map(executor, arguments.jobs)
    return numbers


def stored_bytes(redis: Redis) -> int:
    """Of keys and values alone. Redis 8 counts its Lua's heap too, which may grow or
    shrink by more than hundreds of jobs need."""
    stats = pairs(redis("MEMORY", "STATS"))
    tables = pairs(stats[b"db.0"])
    return int(stats[b"dataset.bytes"] + sum(tables.values()))


def pairs(words: list[Any]) -> dict[bytes, Any]:
    return dict(zip(words[::2], words[1::2]))


def queued_bytes(endpoint: str, redis: Redis, count: int) -> Numbers:
    """Jobs on a channel where nobody listens."""
    body = "true # a shell command of a known length"
    lead = understudy.Lead("bench-queued", broker=endpoint)

    before = stored_bytes(redis)
    results = [lead.shell(body) for _ in range(count)]
    for result in results:
        result.accepted(timeout=60)
    each = (stored_bytes(redis) - before) / count
    for result in results:
        result.cancel()
    return {"queued_bytes_over_body": each - len(body)}


def median_us(action: Callable[[], object], count: int = 1000) -> float:
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        action()
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def flush_us(folder: Path) -> float:
    with open(folder / "flush", "ab", buffering=0) as file:

        def flush() -> None:
            file.write(bytes(600))
            os.fdatasync(file.fileno())

        return median_us(flush)


def echo_us() -> float:
    with socket.create_server(("127.0.0.1", 0)) as server:
        child = os.fork()
        if child == 0:
            peer = server.accept()[0]
            while data := peer.recv(64):
                peer.send(data)
            os._exit(0)
        with socket.create_connection(server.getsockname()) as peer:
            median = median_us(lambda: peer.send(bytes(64)) and peer.recv(64))
        os.waitpid(child, 0)
        return median


def relay(data: Path, count: int) -> Numbers:
    redis = data / "redis.sock"
    command = [str(BUILD / "bench" / "bench_relay"), str(redis), str(count)]
    env = dict(os.environ)
    if (auth := operator_auth(data)) is not None:
        env["REDISCLI_AUTH"] = auth.read_text().strip().partition(":")[2]
    told = subprocess.run(
        command, check=True, capture_output=True, text=True, env=env
    ).stdout
    p50, p99 = told.split()
    return {"relay_p50_us": float(p50), "relay_p99_us": float(p99)}


# --- Competitors -------------------------------------------------------------------


@contextmanager
def pool(workers: int) -> Iterator[Executor]:
    with ProcessPoolExecutor(workers) as executor:
        yield executor


@contextmanager
def remote(endpoint: str) -> Iterator[Executor]:
    with understudy.Executor("bench", broker=endpoint) as executor:
        yield executor


def median_of(rounds: list[Numbers]) -> Numbers:
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def compete(
    contestants: dict[str, Callable[[], object]],
    data: Path,
    arguments: argparse.Namespace,
) -> dict[str, Numbers]:
    """ABBA, so that a machine that slows down slows down both, and what the machine
    gives measured in between."""
    names = list(contestants)
    order = [*names, *reversed(names)] * arguments.rounds
    rounds: dict[str, list[Numbers]] = {name: [] for name in [*names, "machine"]}
    for name in order:
        rounds["machine"].append(machine(data, arguments.round_trips))
        with contestants[name]() as executor:  # type: ignore[attr-defined]
            rounds[name].append(one_round(executor, arguments))
        print(f"{name}: {tell(rounds[name][-1])}", file=sys.stderr)
    return {name: median_of(numbers) for name, numbers in rounds.items()}


# --- The whole ---------------------------------------------------------------------


def tell(numbers: Numbers) -> str:
    return "  ".join(f"{name} {value:,.0f}" for name, value in numbers.items())


def machine(data: Path, count: int) -> Numbers:
    floors = {"flush_us": flush_us(data), "tcp_echo_us": echo_us()}
    return floors | relay(data, count)


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, Numbers]:
    with ExitStack() as stack:
        data = folder / "data"
        options = {"bind": "tcp://127.0.0.1:*", "data": data, "insecure": True}
        broker = Broker(folder, {**options, "durability": arguments.durability})
        stack.callback(broker.stop)
        node = Node(
            folder,
            {
                "broker": broker.endpoint,
                "channel": "bench",
                "slots": arguments.slots,
                "python": "/usr/bin/python3",
                "cache": folder / "cache",
            },
        )
        stack.callback(node.stop)
        contestants = {"understudy": lambda: remote(broker.endpoint)}
        if arguments.peers:
            contestants["ProcessPoolExecutor"] = lambda: pool(arguments.slots)
        numbers = compete(contestants, data, arguments)
        if arguments.peers:
            more = people.measure(folder, broker, contestants, arguments.rounds)
            for name, figures in more.items():
                numbers[name] |= figures
        redis = stack.enter_context(Redis.of_broker(data))
        numbers["understudy"] |= queued_bytes(broker.endpoint, redis, arguments.jobs)
        return numbers


def by_transport(folder: Path, arguments: argparse.Namespace) -> dict[str, Numbers]:
    with ExitStack() as stack:
        contestants = transports.ways(
            stack, folder, arguments.durability, arguments.slots
        )
        return compete(contestants, folder / "tcp/data", arguments)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--json", action="store_true", help="medians as JSON on standard output")
    add("--jobs", type=int, default=10_000, help="jobs of a burst")
    add("--round-trips", type=int, default=2_000, help="jobs one after the other")
    add("--rounds", type=int, default=2, help="how often ABBA")
    add("--slots", type=int, default=os.cpu_count(), help="worker processes")
    add("--durability", default="always", choices=("always", "everysec", "memory"))
    add(
        "--no-peers",
        dest="peers",
        action="store_false",
        help="only Understudy, and only what comes first above",
    )
    add(
        "--against",
        type=Path,
        metavar="DIR",
        help="another checkout, in turn with this",
    )
    add(
        "--transports",
        action="store_true",
        help="only Understudy: by TCP in clear, by TCP with keys, by the unix socket",
    )
    return parser.parse_args()


def against(arguments: argparse.Namespace) -> None:
    options = [
        f"--{name.replace('_', '-')}={getattr(arguments, name)}"
        for name in ("jobs", "round_trips", "slots", "durability")
    ]
    figures = versus.versus(arguments.against.resolve(), arguments.rounds, options)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        versus.tell(figures)


def main() -> None:
    arguments = parse()
    if arguments.against:
        against(arguments)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="understudy-bench-"))
    try:
        measure = by_transport if arguments.transports else run
        medians = measure(folder, arguments)
    finally:
        shutil.rmtree(folder)
    if arguments.json:
        print(json.dumps(medians, indent=2))
        return
    for name, numbers in medians.items():
        for key, value in numbers.items():
            print(f"{name:20} {key:24} {value:12,.0f}")


if __name__ == "__main__":
    main()
