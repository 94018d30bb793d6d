# SPDX-License-Identifier: MIT
"""A stranger on the socket: messages by hand, as docs/protocol.md tells, and all that
must not be answered. Uses pyzmq and the package's own msgpack."""

import hashlib
import os
import threading
import time
import uuid

import pytest
import zmq

from support import wait_for
from understudy import _msgpack as msgpack

HELLO, WELCOME, PING, PONG, ERROR = 1, 2, 3, 4, 6
SUBMIT, SUBMITTED, WATCH, UNWATCH, STATE, ENDED, LOGGED = 16, 17, 18, 19, 20, 21, 22
CANCEL, CANCELLED, QUERY, ANSWER = 23, 24, 25, 26
BLOB_PUT, BLOB_KEPT, BLOB_GET, BLOB_DATA = 34, 35, 36, 37
CREDIT, JOBS, STARTED, RESULT, COMMITTED, LOG, HAND_BACK = 48, 49, 50, 51, 52, 53, 57
RENEW = 55

pytestmark = pytest.mark.core


class Peer:
    """A DEALER that speaks frames."""

    def __init__(self, endpoint, role=None, rcvhwm=None, **fields):
        self.endpoint = endpoint
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if rcvhwm is not None:
            self.socket.rcvhwm = rcvhwm
        self.socket.connect(endpoint)
        if role:
            self.send(HELLO, role=role, version="test", **fields)
            self.welcome = self.expect(WELCOME)[0]

    def send(self, kind, items=None, bodies=(), **head):
        if items is not None:
            head["items"] = items
        self.raw(bytes([1, kind]) + msgpack.packb(head), *bodies)

    def raw(self, *frames):
        self.socket.send_multipart(frames)

    def receive(self, timeout=30.0):
        assert self.socket.poll(int(timeout * 1000)), "no answer"
        header, *bodies = self.socket.recv_multipart()
        return header[1], msgpack.unpackb(header[2:]), bodies

    def expect(self, kind, timeout=30.0):
        """The next message of this type; PINGs and others are passed over."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            got, head, bodies = self.receive(timeout)
            if got == PING:
                self.send(PONG, **head)
            if got == kind:
                return head, bodies
        raise AssertionError(f"no message {kind}")

    def next_answer(self):
        """The next message that is no PING."""
        while True:
            kind, head, _ = self.receive()
            if kind != PING:
                return kind, head
            self.send(PONG, **head)

    def close(self):
        self.socket.close()
        self.context.term()


class OneJobBroker(threading.Thread):
    """The other side, for one node: gives it a job, and takes the result only after
    that many renewals. .renewed: when they came."""

    def __init__(self, lease_ms, renewals):
        super().__init__(daemon=True)
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.lease_ms, self.renewals, self.renewed = lease_ms, renewals, []
        self.has_given = self.has_committed = False
        self.end = threading.Event()
        self.start()

    def run(self):
        while not self.end.is_set():
            if self.socket.poll(50):
                node, header, *bodies = self.socket.recv_multipart()
                self.answer(node, header[1], msgpack.unpackb(header[2:]))

    def send(self, node, kind, head, *bodies):
        header = bytes([1, kind]) + msgpack.packb(head)
        self.socket.send_multipart([node, header, *bodies])

    def answer(self, node, kind, head):
        if kind == HELLO:
            welcome = {"broker": 1, "cluster": "c", "version": "test"}
            welcome |= {"durability": "memory", "max_body": 2**18, "max_payload": 2**26}
            welcome |= {"lease_ms": self.lease_ms, "heartbeat_ms": 1000}
            self.send(node, WELCOME, welcome)
        elif kind == PING:
            self.send(node, PONG, {})
        elif kind == CREDIT and not self.has_given:
            self.has_given = True
            job = shell_job(attempt=1, nonce=1)
            self.send(node, JOBS, {"items": [job]}, b"true")
        elif kind == RENEW:
            self.renewed.append(time.monotonic())
        elif kind == RESULT and len(self.renewed) > self.renewals:
            self.has_committed = True
            done = {"id": head["items"][0]["id"], "attempt": 1, "code": 0}
            self.send(node, COMMITTED, {"items": [done]})

    def close(self):
        self.end.set()
        self.join()
        self.socket.close()
        self.context.term()


def test_a_node_renews_well_within_the_shortest_lease(node):
    """A lease may be a second, and a node that is well keeps its jobs."""
    lease = 1.0
    broker = OneJobBroker(int(lease * 1000), 8)
    try:
        node(broker.endpoint)
        wait_for(lambda: broker.has_committed, 60)
    finally:
        broker.close()
    gaps = [b - a for a, b in zip(broker.renewed, broker.renewed[1:])]
    # The shortest ones: a busy machine makes some longer, and none shorter for good.
    assert sorted(gaps)[2] < 0.6 * lease, gaps


@pytest.fixture
def peer(broker, redis_server):
    broker = broker(redis_server)
    peers = []

    def connect(role="client", at=broker, **fields):
        peers.append(Peer(at.endpoint, role, **fields))
        return peers[-1]

    connect.broker = broker
    yield connect
    for one in peers:
        one.close()


def new_id(channel="default"):
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    raw[15] = hashlib.sha256(channel.encode()).digest()[0]
    return bytes(raw)


def shell_job(channel="default", **more):
    spec = msgpack.packb({"kind": "shell", "name": "test"})
    return {"id": new_id(channel), "channel": channel, "spec": spec, **more}


def as_node(peer, **more):
    fields = {
        "node": 7,
        "boot": 9,
        "name": "test",
        "host": "here",
        "channels": ["default"],
        "slots": 1,
        "pythons": ["3.11.2"],
    }
    return peer("node", **{**fields, **more})


def test_a_job_by_hand(peer):
    client, node = peer(), as_node(peer)
    job = shell_job()
    client.send(SUBMIT, [job], [b"true"])
    head, _ = client.expect(SUBMITTED)
    assert head["items"] == [{"id": job["id"], "code": 0, **_state(head)}]
    node.send(CREDIT, credit=1)
    head, bodies = node.expect(JOBS)
    got = head["items"][0]
    assert (got["id"], got["channel"], got["attempt"]) == (job["id"], "default", 1)
    assert bodies == [b"true"]
    fence = {key: got[key] for key in ("id", "attempt", "nonce")}
    node.send(RESULT, [{**fence, "outcome": 1, "code": 0}], [b"value"])
    head, _ = node.expect(COMMITTED)
    assert head["items"][0]["code"] == 0
    head, bodies = client.expect(ENDED)
    assert (head["items"][0]["state"], bodies) == (5, [b"value"])
    # The same result again is the same; another one changes nothing.
    node.send(RESULT, [{**fence, "outcome": 1, "code": 0}], [b"value"])
    assert node.expect(COMMITTED)[0]["items"][0]["code"] == 0
    node.send(RESULT, [{**fence, "nonce": 1, "outcome": 2, "code": -24}], [b"other"])
    assert node.expect(COMMITTED)[0]["items"][0]["code"] == -13
    client.send(WATCH, [{"id": job["id"]}])
    head, bodies = client.expect(ENDED)
    assert (head["items"][0]["state"], bodies) == (5, [b"value"])


def _state(head):
    return {k: v for k, v in head["items"][0].items() if k not in ("id", "code")}


def test_who_is_told_of_a_job(peer):
    """Section 4.2: who submitted it, and who watches it until UNWATCH."""
    client, watcher, leaver, node = peer(), peer(), peer(), as_node(peer)
    job = shell_job()
    client.send(SUBMIT, [job], [b"true"])
    client.expect(SUBMITTED)
    for one in (watcher, leaver):
        one.send(WATCH, [{"id": job["id"]}])
        assert one.expect(STATE)[0]["items"][0]["state"] == 1
    leaver.send(UNWATCH, [{"id": job["id"]}])
    unknown = new_id()
    leaver.send(WATCH, [{"id": unknown}])
    assert leaver.expect(STATE)[0]["items"] == [{"id": unknown, "code": -10}]
    node.send(CREDIT, credit=1)
    got = node.expect(JOBS)[0]["items"][0]
    fence = {key: got[key] for key in ("id", "attempt", "nonce")}
    node.send(STARTED, [fence])
    for one in (client, watcher):
        assert one.expect(STATE)[0]["items"][0]["state"] == 3
    node.send(RESULT, [{**fence, "outcome": 1, "code": 0}], [b"value"])
    for one in (client, watcher):
        assert one.expect(ENDED)[1] == [b"value"]
    leaver.send(WATCH, [{"id": unknown}])
    kind, head = leaver.next_answer()
    assert (kind, head["items"][0]["id"]) == (STATE, unknown)


@pytest.mark.parametrize(
    ("said", "outcome", "code", "has_started"),
    [
        (False, 1, 0, True),  # over before the node says STARTED
        (True, 1, 0, True),
        (False, 2, -24, True),  # an exception in the job
        (False, 2, -19, True),  # its result cannot be serialised
        (False, 2, -17, False),  # no environment: it never ran
    ],
)
def test_ended_tells_when_it_started(peer, said, outcome, code, has_started):
    client, node = peer(), as_node(peer)
    job = shell_job()
    client.send(SUBMIT, [job], [b"true"])
    node.send(CREDIT, credit=1)
    got = node.expect(JOBS)[0]["items"][0]
    fence = {key: got[key] for key in ("id", "attempt", "nonce")}
    if said:
        node.send(STARTED, [fence])
        assert client.expect(STATE)[0]["items"][0]["state"] == 3
    node.send(RESULT, [{**fence, "outcome": outcome, "code": code}], [b"value"])
    told = client.expect(ENDED)[0]["items"][0]
    client.send(WATCH, [{"id": job["id"]}])
    again = client.expect(ENDED)[0]["items"][0]
    for key in ("started_ms", "ended_ms"):
        assert told.get(key) == again.get(key)
    assert ("started_ms" in told) == has_started
    assert told.get("started_ms", 0) <= told["ended_ms"]


def test_an_attempt_has_its_number_alone(peer):
    """Answers name a job and its attempt: what was handed back and comes again to the
    same node has to be told from what it was."""
    client, node = peer(), as_node(peer)
    client.send(SUBMIT, [shell_job()], [b"true"])
    attempts = []
    for _ in range(3):
        node.send(CREDIT, credit=1)
        got = node.expect(JOBS)[0]["items"][0]
        attempts.append(got["attempt"])
        fence = {key: got[key] for key in ("id", "attempt", "nonce")}
        node.send(HAND_BACK, [fence])
        assert node.expect(COMMITTED)[0]["items"][0]["code"] == 0
    assert attempts == [1, 2, 3]


def test_the_same_job_again_is_one_job(peer):
    client, node = peer(), as_node(peer)
    job = shell_job()
    for _ in range(100):
        client.send(SUBMIT, [job], [b"true"])
    codes = []
    while len(codes) < 100:
        codes += [item["code"] for item in client.expect(SUBMITTED)[0]["items"]]
    assert codes == [0] * 100
    client.send(SUBMIT, [job], [b"false"])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == -11
    node.send(CREDIT, credit=10)
    head, _ = node.expect(JOBS)
    assert len(head["items"]) == 1
    with pytest.raises(AssertionError):
        node.expect(JOBS, 0.5)


def test_hello_comes_first(peer):
    stranger = peer(None)
    stranger.send(SUBMIT, [shell_job()], [b"true"])
    assert stranger.expect(ERROR)[0]["code"] == -33


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], -4),
        ([b"\x01"], -4),
        ([b"\x01\x03"], -4),
        ([b"\x02\x03\x80"], -5),
        ([b"\x00\x03\x80"], -5),
        ([b"\xff\x03\x80"], -5),
        ([b"\x01\xc8\x80"], -5),
        ([b"\x01\x10\x80", b"extra"], -4),
        ([b"\x01\x03\x80\x80"], -4),
        ([b"\x01\x10\x81\xa5items\xdd\xff\xff\xff\xff"], -4),
        ([b"\x01\x10\x81\xa5items\xdf\xff\xff\xff\xff"], -4),
        ([b"\x01\x10\x81\xa5items\x91\xdb\xff\xff\xff\xff"], -4),
        ([b"\x01\x03\x81\xa1x" + b"\x91" * 100_000], -4),
        ([b"\x01\x03\x81\xa1x\xc1"], -4),
        ([b"\x01\x03\x81\xa1x\xdd\x01\x31\x2d\x00" + b"\xc0" * 1_000_000], -4),
        ([b"\x01\x03\x80"] * 600, -4),
        ([b"\x01\x30\x80"], -4),  # a client that speaks as a node, and malformed
        ([b"\x01\x30\x81\xa6credit\x01"], None),  # and well-formed
    ],
)
def test_malformed_frames(peer, frames, code):
    hostile, good = peer(), peer()
    hostile.raw(*frames)
    got = hostile.expect(ERROR)[0]["code"]
    assert got == code if code else got < 0
    good.send(SUBMIT, [shell_job()], [b"true"])
    assert good.expect(SUBMITTED)[0]["items"][0]["code"] == 0


@pytest.mark.parametrize(
    ("head", "code"),
    [
        ({"ref": 77, "what": 7}, -4),
        ({"what": 7, "ref": 77}, -4),
        ({"what": "x" * 33, "limit": "many", "ref": 77}, -4),
        ({"items": [{"id": b"short"}], "ref": 77}, -4),
        ({"ref": 77}, -4),
        ({"what": "jobs", "ref": -1}, -4),
    ],
)
def test_a_refused_query_is_named(peer, head, code):
    """ERROR says which question it answers where that can be read."""
    client = peer()
    client.send(QUERY, **head)
    got = client.expect(ERROR)[0]
    assert (got["code"], got["count"]) == (code, QUERY)
    assert got.get("ref") == (77 if head["ref"] == 77 else None)


def test_a_query_of_a_stranger_is_not_answered_but_asked_again(peer):
    """HELLO comes first, and then the same question: it has not failed."""
    stranger = peer(None)
    stranger.send(QUERY, what="status", ref=77)
    got = stranger.expect(ERROR)[0]
    assert (got["code"], "ref" in got) == (-33, False)


def test_truncated_at_each_byte(peer):
    hostile = peer()
    job = shell_job(retries=3, flags=2)
    whole = bytes([1, SUBMIT]) + msgpack.packb({"items": [job]})
    for size in range(2, len(whole)):
        hostile.raw(whole[:size], b"true")
        assert hostile.expect(ERROR)[0]["code"] == -4
    hostile.raw(whole, b"true")
    assert hostile.expect(SUBMITTED)[0]["items"][0]["code"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"id": b"short"},
        {"id": 7},
        {"channel": "../../etc"},
        {"channel": ""},
        {"channel": "a" * 129},
        {"channel": b"default"},
        {"channel": "job:x"},
        {"spec": "text"},
        {"spec": b"x" * 70_000},
        {"python": "3.11; import os"},
        {"retries": -1},
        {"retries": 101},
        {"retries": 1.5},
        {"expire_ms": 2**64 - 1},
        {"blobs": [b"x"]},
        {"blobs": [b"x" * 32] * 17},
        {"id": b"\x00" * 16},  # not of this channel
    ],
)
def test_bad_values_of_a_submit(peer, change):
    client = peer()
    client.send(SUBMIT, [{**shell_job(), **change}], [b"true"])
    got, head = client.next_answer()
    code = head["code"] if got == ERROR else head["items"][0]["code"]
    assert code < 0
    client.send(SUBMIT, [shell_job()], [b"true"])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == 0


def test_a_body_over_the_limit(peer):
    client = peer()
    client.send(SUBMIT, [shell_job()], [b"x" * (256 * 1024 + 1)])
    assert client.expect(ERROR)[0]["code"] < 0


def test_an_unknown_blob(peer):
    client = peer()
    client.send(SUBMIT, [shell_job(blobs=[b"\x01" * 32])], [b"true"])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == -26


@pytest.fixture
def strange_blob(peer, broker, redis_server):
    """There, but put through another broker: this one has to look for it."""
    chunk = os.urandom(100)
    blob = hashlib.sha256(chunk).digest()
    other = peer(at=broker(redis_server))
    other.send(BLOB_PUT, [{"blob": blob, "size": 100, "index": 0}], [chunk])
    assert other.expect(BLOB_KEPT)[0]["items"][0]["code"] == 0
    return blob


def test_what_follows_a_submit_waits_for_its_blobs(peer, strange_blob):
    client = peer()
    job = shell_job(blobs=[strange_blob])
    client.send(SUBMIT, [job], [b"true"])
    client.send(WATCH, [{"id": job["id"]}])
    client.send(CANCEL, [{"id": job["id"], "mode": 0}])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == 0
    assert client.expect(STATE)[0]["items"] == [
        {"id": job["id"], "code": 0, "state": 1}
    ]
    assert client.expect(CANCELLED)[0]["items"][0]["code"] == 0
    missing = shell_job(blobs=[b"\x01" * 32])
    client.send(SUBMIT, [missing], [b"true"])
    client.send(WATCH, [{"id": missing["id"]}])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == -26
    assert client.expect(STATE)[0]["items"][0]["code"] == -10


def test_the_log_of_a_job_with_blobs_comes_as_it_grows(peer, strange_blob):
    client, node = peer(), as_node(peer)
    client.send(SUBMIT, [shell_job(blobs=[strange_blob], flags=2)], [b"true"])
    client.expect(SUBMITTED)
    node.send(CREDIT, credit=1)
    got = node.expect(JOBS)[0]["items"][0]
    fence = {key: got[key] for key in ("id", "attempt", "nonce")}
    node.send(LOG, [{**fence, "stream": 0, "offset": 0}], [b"a line\n"])
    assert client.expect(LOGGED)[1] == [b"a line\n"]


def test_many_chunks_are_read_a_few_at_a_time(peer, redis_server):
    """One message asks for 256 MiB; what Redis gathers for us at once is far less."""
    client, mib = peer(), 2**20
    chunk = os.urandom(mib)
    item = {"blob": hashlib.sha256(chunk).digest(), "index": 0}
    client.send(BLOB_PUT, [{**item, "size": mib}], [chunk])
    assert client.expect(BLOB_KEPT)[0]["items"][0]["code"] == 0
    with redis_server.connect() as redis:
        before = int(redis.info("memory", "used_memory_peak"))
    client.send(BLOB_GET, [item] * 256)
    bodies = []
    while len(bodies) < 256:
        head, more = client.expect(BLOB_DATA)
        assert {one["code"] for one in head["items"]} == {0}
        bodies += [body == chunk for body in more]
    assert bodies == [True] * 256
    with redis_server.connect() as redis:
        after = int(redis.info("memory", "used_memory_peak"))
    assert after - before < 64 * mib


def test_memory_stays_flat(peer):
    broker, hostile = peer.broker, peer()
    junk = b"\x01\x10" + os.urandom(200_000)

    def burst():
        for _ in range(200):
            hostile.raw(junk, os.urandom(10_000))
        for _ in range(200):
            hostile.expect(ERROR)

    burst()
    before = broker.rss
    for _ in range(4):
        burst()
    assert broker.rss < before + 64 * 2**20


def test_bytes_that_are_not_zmtp(peer):
    import socket

    host, port = peer.broker.endpoint.removeprefix("tcp://").split(":")
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff", b""):
        with socket.create_connection((host, int(port)), 5) as sock:
            sock.sendall(junk)
    client = peer()
    client.send(SUBMIT, [shell_job()], [b"true"])
    assert client.expect(SUBMITTED)[0]["items"][0]["code"] == 0


def test_unknown_id(peer):
    client = peer()
    client.send(WATCH, [{"id": new_id()}])
    assert client.expect(STATE)[0]["items"][0]["code"] == -10
    assert uuid.UUID(bytes=new_id()).version == 8


def test_a_node_that_forges(peer):
    """Another node's job, a wrong attempt or nonce: STALE, and nothing changes."""
    client, node, thief = peer(), as_node(peer), as_node(peer, node=8)
    job = shell_job()
    client.send(SUBMIT, [job], [b"true"])
    client.expect(SUBMITTED)
    node.send(CREDIT, credit=1)
    got = node.expect(JOBS)[0]["items"][0]
    fence = {key: got[key] for key in ("id", "attempt", "nonce")}
    done = {"outcome": 1, "code": 0}
    for sender, change in (
        (thief, {}),
        (node, {"attempt": 2}),
        (node, {"attempt": 0}),
        (node, {"nonce": fence["nonce"] ^ 1}),
        (node, {"id": new_id()}),
    ):
        sender.send(RESULT, [{**fence, **done, **change}], [b"forged"])
        assert sender.expect(COMMITTED)[0]["items"][0]["code"] < 0
    node.send(RESULT, [{**fence, **done}], [b"true value"])
    assert node.expect(COMMITTED)[0]["items"][0]["code"] == 0
    assert client.expect(ENDED)[1] == [b"true value"]
    wait_for(lambda: peer.broker.running)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((6, 0x0F, 0x40), id="version"),
        pytest.param((8, 0x3F, 0xC0), id="variant"),
    ],
)
def test_a_retry_wants_an_id_like_any_other(peer, change):
    client = peer()
    job = shell_job()
    client.send(SUBMIT, [job], [b"true"])
    client.expect(SUBMITTED)
    at, mask, bits = change
    bad = bytearray(new_id())
    bad[at] = bad[at] & mask | bits
    for ref, (new, code) in enumerate([(bytes(bad), -3), (new_id(), 0)], 1):
        client.send(QUERY, what="retry", ref=ref, id=job["id"], prefix=new)
        head, _ = client.expect(ANSWER)
        assert (head["ref"], head["code"]) == (ref, code)


def test_peers_are_still_there_when_the_broker_was_stopped(stage):
    """A machine that sleeps and wakes: nobody could answer a PING meanwhile."""
    broker = stage.broker()
    peer = Peer(broker.endpoint, role="client", name="patient")
    broker.pause()
    stopped = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped > 8, 20)  # as many beats are missed
    peer.send(PING)
    broker.resume()
    peer.expect(PONG)
    for _ in range(3):  # its PINGs, if any, are answered
        peer.expect(PING)
    peer.send(PING)
    peer.expect(PONG)
    assert "peer.silent" not in broker.output
    assert "store.lost" not in broker.output
    peer.close()


def test_what_peers_do_not_read_is_bounded(peer):
    """Twenty peers ask for 150 MiB each and read nothing. libzmq would hold 128 of them
    for each; the broker stops before, over all too, and serves others meanwhile."""
    mib = 1024 * 1024
    chunk = os.urandom(mib)
    item = {"blob": hashlib.sha256(chunk).digest(), "index": 0}
    good = peer()
    good.send(BLOB_PUT, [{**item, "size": mib}], [chunk])
    good.expect(BLOB_KEPT)
    deaf = []
    for _ in range(20):
        deaf.append(peer(rcvhwm=1))
        for _ in range(150):
            deaf[-1].send(BLOB_GET, [item])

    def status():
        good.send(QUERY, what="status", ref=1)
        return msgpack.unpackb(good.expect(ANSWER)[1][0])

    # Each of them has been found not to read.
    wait_for(lambda: status()["parked"] >= 20)
    good.send(BLOB_GET, [item])
    assert good.expect(BLOB_DATA)[1] == [chunk]
    wait_for(lambda: status()["backlog"] <= 1)
    assert peer.broker.rss < 600 * mib


def test_who_reads_again_gets_what_it_missed(peer):
    mib = 1024 * 1024
    chunk = os.urandom(mib)
    item = {"blob": hashlib.sha256(chunk).digest(), "index": 0}
    slow = peer(rcvhwm=1)
    slow.send(BLOB_PUT, [{**item, "size": mib}], [chunk])
    slow.expect(BLOB_KEPT)
    other = peer()
    for _ in range(150):
        slow.send(BLOB_GET, [item])

    def parked():
        other.send(QUERY, what="status", ref=1)
        return msgpack.unpackb(other.expect(ANSWER)[1][0])["parked"]

    wait_for(parked)
    got = 0
    while got < 150:
        got += len(slow.expect(BLOB_DATA)[1])
    assert got == 150


def test_hello_again_and_again_is_cut(peer, redis_server):
    """With a WATCH each time: the watchers of a job would grow without limit."""
    client, noisy = peer(), peer()
    job = new_id()
    client.send(SUBMIT, [{**shell_job(), "id": job}], [b"true"])
    client.expect(SUBMITTED)
    for _ in range(200):
        noisy.send(HELLO, role="client", version="test")
        noisy.send(WATCH, [{"id": job}])
    wait_for(lambda: "says HELLO again and again" in peer.broker.output)
    client.send(QUERY, what="status", ref=1)
    assert client.expect(ANSWER)
    with redis_server.connect() as redis:
        (key,) = redis("KEYS", "us:*:w:*")
        assert int(redis("SCARD", key)) <= 40


def test_one_connection_is_one_node(peer):
    node = as_node(peer)
    fields = {"boot": 9, "channels": ["default"], "slots": 1, "pythons": ["3.11.2"]}
    node.send(HELLO, role="node", version="test", node=77, **fields)
    head, _ = node.expect(ERROR)
    assert "another node" in head["text"]


def test_the_watchers_of_a_job_are_bounded(peer, redis_server):
    client = peer()
    job = new_id()
    client.send(SUBMIT, [{**shell_job(), "id": job}], [b"true"])
    client.expect(SUBMITTED)
    with redis_server.connect() as redis:
        (key,) = redis("KEYS", "us:*:j:*")
        watchers = key.replace(b":j:", b":w:")
        redis("SADD", watchers, *(i.to_bytes(9, "big") for i in range(1000)))
        late = peer()
        late.send(WATCH, [{"id": job}])
        assert late.expect(STATE)[0]["items"][0]["code"] == 0
        assert int(redis("SCARD", watchers)) == 1000


def test_who_says_no_hello_is_cut(peer):
    """And nobody who said it, however many came at once, and who is there."""
    clients = [peer() for _ in range(40)]
    peer(None)

    def is_cut():
        for client in clients:
            client.send(PONG)
        time.sleep(0.1)
        return "that said no HELLO" in peer.broker.output

    wait_for(is_cut)
    for client in clients:
        client.send(QUERY, what="status", ref=1)
        assert client.expect(ANSWER)
    assert "cut 1 connections that said no HELLO" in peer.broker.output
