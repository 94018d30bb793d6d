# SPDX-License-Identifier: MIT
"""A redis-server of one's own, and a client of forty lines to look into it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .paths import REDIS_SERVER
from .processes import Process, clean_environment, free_port, wait_for


class RedisError(Exception):
    """An error reply."""


class Redis:
    """Blocking and small: redis("GET", "key")."""

    def __init__(
        self, path: Path | None = None, port: int = 0, auth: Path | None = None
    ) -> None:
        if path is not None:
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.settimeout(10)
            try:
                self._sock.connect(str(path))
            except OSError:
                self._sock.close()
                raise
        else:
            self._sock = socket.create_connection(("127.0.0.1", port), 10)
        self._file = self._sock.makefile("rb")
        if auth is not None:
            self("AUTH", *auth.read_text().splitlines()[0].split(":", 1))

    @classmethod
    def of_broker(cls, data: Path) -> Redis:
        """The private Redis of the broker whose data these are, as its operator."""
        return cls(data / "redis.sock", auth=operator_auth(data))

    def __call__(self, *words: str | bytes | int) -> Any:
        parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        head = b"*%d\r\n" % len(parts)
        self._sock.sendall(
            head + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)
        )
        return self._reply()

    def _reply(self) -> Any:
        line = self._file.readline()
        if not line:
            raise ConnectionError("redis-server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self._reply() for _ in range(int(rest))]

    def info(self, section: str, key: str) -> str:
        """One value of INFO."""
        for line in self("INFO", section).decode().splitlines():
            name, _, value = line.partition(":")
            if name == key:
                return str(value)
        raise KeyError(key)

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def operator_auth(data: Path) -> Path | None:
    """None: a broker of a build that gave its Redis no users (scripts/bench)."""
    path = data / "redis-admin.auth"
    return path if path.exists() else None


class RedisServer:
    """A plain redis-server on a unix socket and, with tcp, on a port of the loopback.
    Its data outlive kill and start."""

    def __init__(
        self,
        directory: Path,
        tcp: bool | int = False,
        prefix: Sequence[str] = (),
        **config: str,
    ) -> None:
        self.directory = directory
        self.prefix = list(prefix)
        self.socket = directory / "redis.sock"
        self.port = free_port() if tcp is True else int(tcp)
        self._config = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            **{name.replace("_", "-"): value for name, value in config.items()},
        }
        self.process: Process | None = None
        self.start()

    @property
    def url(self) -> str:
        if self.port:
            return f"redis://127.0.0.1:{self.port}"
        return f"unix://{self.socket}"

    def start(self) -> None:
        argv = [
            *self.prefix,
            REDIS_SERVER,
            "--unixsocket",
            str(self.socket),
            "--save",
            "",
        ]
        argv += ["--port", str(self.port), "--bind", "127.0.0.1"]
        argv += ["--dir", str(self.directory), "--daemonize", "no"]
        for name, value in self._config.items():
            argv += [f"--{name}", value]
        env = clean_environment(self.directory)
        self.process = Process("redis-server", argv, self.directory, env)
        wait_for(self._answers, what="redis-server answers")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.running, self.process.output
        try:
            with self.connect() as redis:
                redis("SET", "us-test:ready", "1")
                redis("DEL", "us-test:ready")
                return True
        except RedisError as error:
            # Answers, but may not write (a test of read-only servers), or still loads.
            return not str(error).startswith("LOADING")
        except OSError:
            return False

    def connect(self) -> Redis:
        return Redis(path=self.socket)

    def __call__(self, *words: str | bytes | int) -> Any:
        with self.connect() as redis:
            return redis(*words)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def pause(self) -> None:
        assert self.process is not None
        self.process.pause()

    def resume(self) -> None:
        assert self.process is not None
        self.process.resume()

    def stop(self) -> None:
        assert self.process is not None
        self.process.stop()
