# SPDX-License-Identifier: MIT
"""A wire between broker and Redis that can be cut at a chosen answer."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from pathlib import Path

from .redis import RedisServer


class RedisProxy:
    """Passes bytes on. After swallow(answer) the first answer that holds those bytes
    does not arrive, nor any later one of its connection, though Redis gets what is
    asked. cut() closes all connections; new ones work again."""

    def __init__(self, directory: Path, server: RedisServer) -> None:
        self._path = directory / "proxy.sock"
        self._server = server
        self._wanted: bytes | None = None
        self._swallowed = threading.Event()
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def swallow(self, answer: bytes) -> None:
        self._swallowed.clear()
        self._wanted = answer

    def wait_swallowed(self, timeout: float) -> None:
        assert self._swallowed.wait(timeout), "Redis never said that"

    def cut(self) -> None:
        connections, self._connections = self._connections, []
        for near in connections:
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                near, _ = self._listener.accept()
                self._connections.append(near)
                thread = threading.Thread(target=self._serve, args=(near,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            far.connect(str(self._server.socket))
            self._pass_on(near, far)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        seen, mute = b"", False
        while True:
            for sock in select.select([near, far], [], [])[0]:
                data = sock.recv(65536)
                if not data:
                    return
                if sock is near:
                    far.sendall(data)
                    continue
                seen = seen[-64:] + data  # what is wanted may come in two parts
                mute = mute or self._is_wanted(seen)
                if not mute:
                    near.sendall(data)

    def _is_wanted(self, seen: bytes) -> bool:
        if self._wanted is None or self._wanted not in seen:
            return False
        self._wanted = None
        self._swallowed.set()
        return True
