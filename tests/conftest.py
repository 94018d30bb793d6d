# SPDX-License-Identifier: MIT
"""Fixtures of all tests that start processes.

    redis_server          a plain redis-server on a unix socket
    make_redis(**config)  more of them
    broker(**options)     understudy-broker; without redis= it runs its own
    node(**options)       understudy-node, of the newest broker unless broker= is given
    client(broker)        runs scripts, REPLs and understudy-ctl against a broker
    wheel_index           a package index on the loopback
    hosts                 network namespaces

Whatever a test starts through them is stopped at its end; daemons must then end with
exit code 0 and silent sanitizers, and no process may be left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import (
    BIN,
    Broker,
    Client,
    Node,
    Process,
    RedisProxy,
    RedisServer,
    WheelIndex,
    wait_for,
)
from support.hosts import Hosts
from support.processes import adopt_orphans, descendants, leftovers, reap_orphans


def pytest_configure(config: pytest.Config) -> None:
    adopt_orphans()
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "UNDERSTUDY_", "VIRTUAL_ENV")):
            del os.environ[name]
    os.environ["UNDERSTUDY_BIN_DIR"] = str(BIN)  # for start() within a test


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for unix sockets (107 bytes), also under a deep TMPDIR; and gone
    afterwards."""
    deep = len(tempfile.gettempdir()) > 50
    path = Path(tempfile.mkdtemp(prefix="us-", dir="/tmp" if deep else None))
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def no_leftovers(directory: Path) -> Iterator[None]:
    """Fails the test that leaves a process behind, and ends that process; before the
    directory goes, in which it may still write."""
    before = set(descendants(os.getpid()))
    yield
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not leftovers(before))
    left = leftovers(before)
    reap_orphans()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"left behind: {left}"


class Stage:
    """What one test has started, in order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.brokers: list[Broker] = []
        self._services: list[Process] = []
        self._users: list[Process] = []
        self._redis: list[RedisServer] = []
        self._count = 0

    def folder(self, name: str) -> Path:
        self._count += 1
        path = self.directory / f"{name}{self._count}"
        path.mkdir()
        return path

    def redis(self, **config: Any) -> RedisServer:
        server = RedisServer(self.folder("r"), **config)
        self._redis.append(server)
        return server

    def broker(
        self,
        redis: RedisServer | RedisProxy | str | None = None,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        **options: Any,
    ) -> Broker:
        folder = self.folder("b")
        if redis is not None:
            url = redis if isinstance(redis, str) else redis.url
            options["redis"] = url
        else:
            options.setdefault("data", folder / "data")
        options.setdefault("bind", "tcp://127.0.0.1:*")
        if "key" not in options:
            options.setdefault("insecure", "tcp:" in str(options["bind"]))
        broker = Broker(folder, options, env, prefix or ())
        self.brokers.append(broker)
        self._services.append(broker)
        return broker

    def node(
        self,
        broker: Broker | str | None = None,
        env: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        **options: Any,
    ) -> Node:
        folder = self.folder("n")
        if "redis" in options:
            server = options["redis"]
            options["redis"] = getattr(server, "url", server)
        else:
            broker = broker or self.brokers[-1]
            options["broker"] = getattr(broker, "endpoint", broker)
        options.setdefault("slots", 2)
        options.setdefault("python", "/usr/bin/python3")
        options.setdefault("cache", folder / "cache")
        node = Node(folder, options, env, prefix or ())
        self._services.append(node)
        return node

    def client(
        self, broker: Broker | str | None = None, prefix: list[str] | None = None
    ) -> Client:
        if broker is None and self.brokers:
            broker = self.brokers[-1]
        endpoint = getattr(broker, "endpoint", broker)
        return Client(self.folder("c"), endpoint, prefix or (), self._users.append)

    def close(self) -> None:
        """Nodes before brokers before Redis, whatever a test did to them."""
        problems: list[str] = []
        for user in self._users:
            user.kill()
        for service in reversed(self._services):
            was_running = service.running
            try:
                code = service.stop()
                if was_running and code != 0:
                    problems.append(f"{service.name} ended with {code}")
                service.check_reports()
            except AssertionError as problem:
                problems.append(str(problem))
            print(f"--- {service.name} {service.pid}\n{service.output}")
        for server in self._redis:
            server.stop()
        assert not problems, "\n".join(problems)


@pytest.fixture
def stage(no_leftovers: None, directory: Path) -> Iterator[Stage]:
    stage = Stage(directory)
    yield stage
    stage.close()


@pytest.fixture
def make_redis(stage: Stage) -> Callable[..., RedisServer]:
    return stage.redis


@pytest.fixture
def redis_server(stage: Stage) -> RedisServer:
    return stage.redis()


@pytest.fixture
def broker(stage: Stage) -> Callable[..., Broker]:
    return stage.broker


@pytest.fixture
def node(stage: Stage) -> Callable[..., Node]:
    return stage.node


@pytest.fixture
def client(stage: Stage) -> Callable[..., Client]:
    return stage.client


@pytest.fixture
def wheel_index(directory: Path) -> Iterator[WheelIndex]:
    index = WheelIndex(directory / "index")
    yield index
    index.close()


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    if os.geteuid() != 0:
        pytest.fail("network namespaces need root: run the tests as root")
    hosts = Hosts()
    yield hosts
    hosts.close()
