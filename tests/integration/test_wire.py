# SPDX-License-Identifier: MIT
"""Bytes that are no ZMTP, or not the one that is due: each connection ends or is left,
and a good job that comes then is served within a second, from flat memory."""

import random
import time

import pytest

from support import PATIENCE
from support.keys import Keys
from support.zmtp import GREETING, READY, Wire

pytestmark = pytest.mark.core

NOISE = random.Random(8).randbytes
CURVE = GREETING[:12] + b"CURVE".ljust(20, b"\0") + GREETING[32:]
PLAIN = GREETING[:12] + b"PLAIN".ljust(20, b"\0") + GREETING[32:]


def command(name, data=b""):
    body = bytes([len(name)]) + name + data
    if len(body) > 255:
        return b"\x06" + len(body).to_bytes(8, "big") + body
    return bytes([4, len(body)]) + body


SAID = {
    "nothing": b"",
    "random": NOISE(4096),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE(500),
    "half a greeting": GREETING[:30],
    "zmtp 1": b"\x01\x00",
    "zmtp 2": b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00",
    "zmtp 9": GREETING[:10] + b"\x09" + GREETING[11:],
    "no mechanism": GREETING[:12] + bytes(20) + GREETING[32:],
    "unknown mechanism": GREETING[:12] + b"X" * 20 + GREETING[32:],
    "plain": PLAIN + command(b"HELLO", b"\x05admin\x05admin"),
    "null": GREETING + command(b"READY", READY),
    "null with an identity of 64 KiB": GREETING
    + command(
        b"READY", READY + b"\x08Identity" + (65536).to_bytes(4, "big") + bytes(65536)
    ),
    "curve hello too short": CURVE + command(b"HELLO", bytes(20)),
    "curve hello too long": CURVE + command(b"HELLO", bytes(5000)),
    "curve hello of zeros": CURVE + command(b"HELLO", b"\1\0" + bytes(192)),
    "curve hello of noise": CURVE + command(b"HELLO", b"\1\0" + NOISE(192)),
    "curve initiate first": CURVE + command(b"INITIATE", NOISE(300)),
    "curve ready from a client": CURVE + command(b"READY", NOISE(60)),
    "frames before the handshake": GREETING + b"\x00\x02\x01\x01" * 50,
    "a frame of 2^63": GREETING + command(b"READY", READY) + b"\x02\x80" + bytes(7),
    "a frame of 2^64-1": GREETING + command(b"READY", READY) + b"\x02" + b"\xff" * 8,
    "a frame over the limit": GREETING
    + command(b"READY", READY)
    + b"\x02"
    + (4 * 2**20 + 1).to_bytes(8, "big")
    + bytes(1000),
    "a command of 2^63": GREETING + b"\x06\x80" + bytes(7),
    "commands after the handshake": GREETING
    + command(b"READY", READY)
    + command(b"PING", b"\0\0" + bytes(16))
    + command(b"SUBSCRIBE", b"x")
    + command(b"NOBODY") * 100,
    "reserved flags": GREETING + command(b"READY", READY) + b"\xf8\x02\x01\x01",
    "an empty message": GREETING + command(b"READY", READY) + b"\x00\x00",
    "empty frames": GREETING
    + command(b"READY", READY)
    + b"\x01\x00" * 2000
    + b"\x00\x00",
    "socket type PUB": GREETING
    + command(b"READY", b"\x0bSocket-Type" + (3).to_bytes(4, "big") + b"PUB"),
}


def speak(endpoint, said):
    wire = Wire(endpoint)
    try:
        wire.socket.settimeout(0.2)
        wire.socket.sendall(said)
        while wire.socket.recv(65536):
            pass
    except OSError:  # it is cut, or nothing more comes
        pass
    return wire


@pytest.fixture(params=["open", "keyed"])
def scene(request, stage, directory):
    """A broker and a client that is served, on a socket without keys or with them."""
    keys, options = None, {}
    if request.param == "keyed":
        keys = Keys(directory / "keys")
        options = keys.options("the-broker")
    broker = stage.broker(**options)
    user = stage.client(broker)
    if keys:
        keys.make("client", "alice")
        keys.make("node", "n1")
        own = stage.client(broker.endpoints[-1])
        for name in ("alice", "n1"):
            path = str(keys.certificate(name))
            own.ctl("keys", "add", path, "--dir", str(keys.folder))
        user.env |= keys.env("alice")
    stage.node(broker, **(keys.options("n1") if keys else {}))
    return broker, user


def test_what_is_said_does_no_harm(scene):
    broker, user = scene
    endpoint = broker.endpoint.partition("#")[0]
    submit = ("submit", "--wait", "--shell", "echo served")
    user.ctl(*submit)
    before, wires = broker.rss, []
    for name, said in SAID.items():
        wires += [speak(endpoint, said) for _ in range(3)]
        began = time.monotonic()
        assert user.ctl(*submit).stdout == "served\n", name
        assert time.monotonic() - began < 1 * PATIENCE, name
    assert broker.rss - before < 48 * 2**20
    for wire in wires:
        wire.close()
