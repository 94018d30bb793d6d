# SPDX-License-Identifier: MIT
"""The same by three ways, in turn: TCP in clear, TCP with keys, the unix socket. Each
has a broker and a node of its own; those that are not asked cost next to nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import understudy
from support import BIN, Broker, Node
from support.keys import Keys


class Way:
    def __init__(self, folder: Path, name: str, durability: str, slots: int) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.keys = Keys(self.folder / "keys") if name == "keys" else None
        self.stack = ExitStack()
        bind = "tcp://127.0.0.1:*"
        if name == "socket":
            bind = f"ipc://{self.folder}/broker.sock"
        options: dict[str, Any] = {"bind": bind, "durability": durability}
        options |= {"data": self.folder / "data", **self._options("the-broker")}
        if name == "tcp":
            options["insecure"] = True
        self.broker = Broker(self._place("broker"), options)
        self.stack.callback(self.broker.stop)
        for role in ("client", "node"):
            self._admit(role)
        node = Node(
            self._place("node"),
            {
                "broker": self.broker.endpoint,
                "channel": "bench",
                "slots": slots,
                "python": "/usr/bin/python3",
                "cache": self.folder / "cache",
                **self._options("a-node"),
            },
        )
        self.stack.callback(node.stop)

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir()
        return place

    def _options(self, name: str) -> dict[str, Path]:
        return self.keys.options(name) if self.keys else {}

    def _admit(self, role: str) -> None:
        if not self.keys:
            return
        name = self.keys.make(role, f"a-{role}")
        command = [BIN / "understudy-ctl", "--broker", self.broker.endpoints[-1]]
        command += ["keys", "add", self.keys.certificate(name)]
        command += ["--dir", self.keys.folder]
        subprocess.run(command, check=True, capture_output=True)

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """The client reads its key when it is made."""
        more = self.keys.env("a-client") if self.keys else {}
        os.environ.update(more)
        try:
            with understudy.Executor("bench", broker=self.broker.endpoint) as executor:
                yield executor
        finally:
            for name in more:
                del os.environ[name]


def ways(
    stack: ExitStack, folder: Path, durability: str, slots: int
) -> dict[str, Callable[[], object]]:
    made = {
        name: Way(folder, name, durability, slots) for name in ("tcp", "keys", "socket")
    }
    for way in made.values():
        stack.push(way.stack)
    return {name: way.executor for name, way in made.items()}
