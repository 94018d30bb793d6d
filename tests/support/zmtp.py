# SPDX-License-Identifier: MIT
"""ZMTP 3.0 without keys by hand (rfc.zeromq.org/spec/23), as libzmq never would."""

from __future__ import annotations

import socket
from typing import Any

from understudy import _msgpack as msgpack

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
_MORE, _LONG, _COMMAND = 1, 2, 4


class Wire:
    """One TCP connection to a broker; nothing is said that is not asked for."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), 10)

    def shake_hands(self) -> None:
        self.socket.sendall(GREETING)
        self._read(64)
        self._send(b"\x05READY" + READY, _COMMAND)
        self.frame()

    def say(self, kind: int, **head: Any) -> None:
        self._send(bytes([1, kind]) + msgpack.packb(head), 0)

    def say_more(self, part: bytes) -> None:
        """A frame of a message that goes on."""
        self._send(part, _MORE)

    def frame(self) -> bytes:
        """The next frame that has come."""
        flags = self._read(1)[0]
        length = self._read(8 if flags & _LONG else 1)
        return self._read(int.from_bytes(length, "big"))

    def close(self) -> None:
        self.socket.close()

    def _send(self, part: bytes, flags: int) -> None:
        if len(part) > 255:
            self.socket.sendall(
                bytes([flags | _LONG]) + len(part).to_bytes(8, "big") + part
            )
        else:
            self.socket.sendall(bytes([flags, len(part)]) + part)

    def _read(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            part = self.socket.recv(count - len(got))
            if not part:
                raise ConnectionError("the broker closed the connection")
            got += part
        return got
