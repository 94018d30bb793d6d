# SPDX-License-Identifier: MIT
"""Blobs that several clients put: what was accepted stays as it is, and what Redis has
lost can be sent again through any broker."""

import hashlib
import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_protocol import (
    BLOB_DATA,
    BLOB_GET,
    BLOB_KEPT,
    BLOB_PUT,
    SUBMIT,
    SUBMITTED,
    Peer,
    shell_job,
)

pytestmark = pytest.mark.core

BLOB_FIND, BLOB_FOUND = 32, 33
MIB = 2**20
MISSING_BLOB = -26


def put(peer, blob, payload, index):
    chunk = payload[index * MIB : (index + 1) * MIB]
    item = {"blob": blob, "size": len(payload), "index": index}
    peer.send(BLOB_PUT, [item], [chunk])
    return peer.expect(BLOB_KEPT)[0]["items"][0]["code"]


def find(peer, blob):
    peer.send(BLOB_FIND, [{"blob": blob}])
    return peer.expect(BLOB_FOUND)[0]["items"][0]["size"]


def get(peer, blob, index):
    peer.send(BLOB_GET, [{"blob": blob, "index": index}])
    head, bodies = peer.expect(BLOB_DATA)
    return head["items"][0]["code"], bodies[0] if bodies else b""


def submit(peer, blob):
    peer.send(SUBMIT, [shell_job(blobs=[blob])], [b"true"])
    return peer.expect(SUBMITTED)[0]["items"][0]["code"]


def expiries(server, blob):
    return {server("TTL", key) for key in server("KEYS", f"us:{{b:{blob.hex()}}}:*")}


@pytest.fixture
def peers(broker, redis_server):
    """Makes clients, each on a broker of its own."""
    made = []

    def make():
        made.append(Peer(broker(redis_server).endpoint, "client"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def payload():
    return random.randbytes(3 * MIB)


def test_two_clients_put_the_same_bytes_at_once(peers, payload, redis_server):
    one, two = peers(), peers()
    blob = hashlib.sha256(payload).digest()
    for index in range(3):
        assert put(one, blob, payload, index) == 0
        if index < 2:
            assert put(two, blob, payload, index) == 0
    assert put(two, blob, payload, 2) == 0
    assert submit(one, blob) == 0
    assert expiries(redis_server, blob) == {-1}


def test_other_bytes_first(peers, payload):
    honest, liar = peers(), peers()
    blob = hashlib.sha256(payload).digest()
    assert put(liar, blob, bytes(3 * MIB), 1) == 0
    assert [put(honest, blob, payload, n) for n in range(3)] == [0, 0, MISSING_BLOB]
    assert find(honest, blob) == 0
    assert [put(honest, blob, payload, n) for n in range(3)] == [0, 0, 0]
    assert find(liar, blob) == len(payload)


def test_a_chunk_that_redis_has_lost(peers, payload, redis_server):
    one, two = peers(), peers()
    blob = hashlib.sha256(payload).digest()
    for index in range(3):
        put(one, blob, payload, index)
    assert (submit(one, blob), submit(two, blob)) == (0, 0)
    redis_server("DEL", f"us:{{b:{blob.hex()}}}:1")
    assert get(one, blob, 1) == (MISSING_BLOB, b"")
    assert find(two, blob) == 0
    assert submit(two, blob) == submit(one, blob) == MISSING_BLOB
    assert [put(two, blob, payload, n) for n in range(3)] == [0, 0, 0]
    assert submit(one, blob) == submit(two, blob) == 0
    assert get(one, blob, 1) == (0, payload[MIB : 2 * MIB])


def test_a_result_does_not_change(broker, node, client, redis_server):
    server = broker(redis_server)
    node(channel="calculator")
    user = client()
    code = """
        import sys
        from understudy import Executor, Result


        def make(byte, size):
            return byte * size


        if len(sys.argv) == 1:
            future = Executor("calculator").submit(make, b"r", 3 * 2**20)
            future.result(60)
            print(future.uuid)
        else:
            assert Result(sys.argv[1]).get(60) == make(b"r", 3 * 2**20)
    """
    job = user.script(code).strip()
    liar = Peer(server.endpoint, "client")
    for digest in redis_server("ZRANGE", "us:blobs", "0", "-1"):
        size = redis_server("GET", f"us:{{b:{digest.hex()}}}:m")
        if int.from_bytes(size, "big") > MIB:
            assert put(liar, digest, os.urandom(int.from_bytes(size, "big")), 1) == 0
    liar.close()
    user.script(code, job)


def test_more_at_once_than_the_store_takes(peers):
    """The broker stops reading for a while, after a turn that took long; then it reads
    again, once."""
    many = [peers()]
    many += [Peer(many[0].endpoint, "client") for _ in range(9)]

    def put_other_bytes(peer):
        for _ in range(3):
            blob, waiting = os.urandom(32), 8
            for index in range(8):
                item = {"blob": blob, "size": 8 * MIB, "index": index}
                peer.send(BLOB_PUT, [item], [bytes(MIB)])
            while waiting:
                waiting -= len(peer.expect(BLOB_KEPT)[0]["items"])

    try:
        with ThreadPoolExecutor(len(many)) as pool:
            list(pool.map(put_other_bytes, many))
    finally:
        for peer in many[1:]:
            peer.close()
