# SPDX-License-Identifier: MIT
"""Keys: who has one is served as its certificate says, and nobody else."""

import base64
import hashlib
import json
import signal
import time

import pytest
import zmq
from zmq.utils import z85

from support import BIN, PYTHON, ROOT, Redis, StartError, wait_for
from support.keys import Keys
from understudy import _msgpack as msgpack

HELLO, WELCOME, PING, PONG, ERROR = 1, 2, 3, 4, 6
SUBMIT, WATCH, CANCEL, QUERY, ANSWER, CREDIT, RESULT = 16, 18, 23, 25, 26, 48, 51
PROTOCOL, UNKNOWN_PEER, DENIED = -4, -33, -37

pytestmark = pytest.mark.core

CALL = """
    from understudy.decorators import understudy


    @understudy()
    def add(a, b):
        return a + b


    print(add(1, 2).get(30))
"""


class KeyedStage:
    """A broker with keys, and whoever comes with one."""

    def __init__(self, stage, directory):
        self.stage = stage
        self.keys = Keys(directory / "keys")
        self.broker = None

    def start(self, **options):
        self.broker = self.stage.broker(**self.keys.options("the-broker"), **options)
        return self.broker

    def admit(self, *names):
        """By the own user's unix socket, as the first admin does."""
        for name in names:
            path = str(self.keys.certificate(name))
            self.own().ctl("keys", "add", path, "--dir", str(self.keys.folder))

    def own(self):
        """The user of the broker."""
        own = self.broker.endpoints[-1]
        assert own.startswith("ipc:")
        return self.stage.client(own)

    def client(self, name, *rights, role="client"):
        if not (self.keys.folder / f"{name}.key").exists():
            self.keys.make(role, name, *rights)
            self.admit(name)
        client = self.stage.client(self.broker)
        client.env |= self.keys.env(name)
        return client

    def node(self, name="n1", *rights, **options):
        if not (self.keys.folder / f"{name}.key").exists():
            self.keys.make("node", name, *rights)
            self.admit(name)
        return self.stage.node(self.broker, **self.keys.options(name), **options)


@pytest.fixture
def keyed(stage, directory):
    keyed = KeyedStage(stage, directory)
    keyed.start()
    return keyed


# --- coming in ------------------------------------------------------------------------


def test_who_has_a_key_is_served(keyed):
    keyed.node()
    assert keyed.client("alice").script(CALL) == "3\n"


def denied(client, *args):
    client.env["UNDERSTUDY_CONNECT_TIMEOUT"] = "1s"
    done = client.ctl(*(args or ("status",)), check=False)
    assert done.returncode == 77, done.stderr
    return done.stderr


def test_who_has_none_is_not(keyed, directory):
    keyed.keys.make("client", "mallory")
    mallory = keyed.stage.client(keyed.broker)
    mallory.env |= keyed.keys.env("mallory")
    assert "does not admit this key" in denied(mallory)
    nobody = keyed.stage.client(keyed.broker.endpoint.partition("#")[0])
    assert "there is no key of a client" in denied(nobody)
    nobody = keyed.stage.client(keyed.broker)
    assert "this broker wants a key" in denied(nobody)
    other = Keys(directory / "other")
    other.make("client", "alice")
    stranger = keyed.stage.client(keyed.broker)
    stranger.env |= other.env("alice")
    assert "does not admit this key" in denied(stranger)
    done = keyed.own().ctl(
        *("keys", "add", str(other.certificate("alice"))),
        *("--dir", str(keyed.keys.folder)),
        check=False,
    )
    assert done.returncode == 78
    assert "not signed by this cluster" in done.stderr


def test_python_says_who_is_turned_away(keyed):
    keyed.keys.make("client", "mallory")
    mallory = keyed.stage.client(keyed.broker)
    mallory.env |= keyed.keys.env("mallory")
    said = mallory.script("""
        from understudy.decorators import understudy
        from understudy.exceptions import AccessDenied


        @understudy()
        def f():
            return 1


        try:
            f().get(30)
        except AccessDenied as error:
            print(error)
        """)
    assert "the broker does not admit this key" in said


def test_a_broker_of_another_cluster_gets_nothing(keyed, directory):
    """It listens where ours did, and would take anybody."""
    other = Keys(directory / "other")
    false = keyed.stage.broker(**other.options("the-broker"))
    keyed.keys.make("client", "alice")
    alice = keyed.stage.client(false.endpoint.partition("#")[0])
    alice.env |= keyed.keys.env("alice")
    assert "handshake" in denied(alice) or "closed" in denied(alice)
    # Its key was slipped to the client, by a registry for example.
    alice = keyed.stage.client(false)
    alice.env |= keyed.keys.env("alice")
    denied(alice)


def test_without_keys_it_is_said_loudly(stage):
    broker = stage.broker()
    wait_for(lambda: "INSECURE" in broker.output)
    row = json.loads(stage.client(broker).ctl("--json", "status").stdout)
    assert row["security"] == "INSECURE: anybody"
    said = stage.client(broker).ctl("doctor", check=False).stdout
    assert "anybody is served (--insecure)" in said


def test_keys_and_insecure_exclude_each_other(keyed):
    with pytest.raises(StartError) as caught:
        keyed.start(insecure=True)
    assert caught.value.code == 78
    assert "--key none" in caught.value.output


# --- being sent away ------------------------------------------------------------------


def revoke(keyed, name):
    keyed.own().ctl("keys", "revoke", name, "--dir", str(keyed.keys.folder))


def test_a_revoked_key_is_not_heard(keyed):
    keyed.node("n1")
    alice, bob = keyed.client("alice"), keyed.client("bob")
    assert alice.ctl("submit", "--wait", "--shell", "echo a").stdout == "a\n"
    revoke(keyed, "alice")
    assert "does not admit this key" in denied(alice)
    assert bob.ctl("submit", "--wait", "--shell", "echo b").stdout == "b\n"
    rows = keyed.own().ctl("--json", "keys").stdout.splitlines()
    states = {row["name"]: row["state"] for row in map(json.loads, rows)}
    assert states == {"n1": "good", "alice": "this key was revoked", "bob": "good"}
    revoke(keyed, "n1")
    wait_for(lambda: "node.left" in keyed.broker.output)


def test_who_waits_is_told_that_its_key_was_revoked(keyed):
    alice = keyed.client("alice")
    alice.env["UNDERSTUDY_CONNECT_TIMEOUT"] = "1s"
    script = alice.write(
        "wait.py",
        """
        from understudy.decorators import understudy
        from understudy.exceptions import AccessDenied


        @understudy()
        def never():
            return 1


        job = never()
        print("waits", flush=True)
        try:
            job.get()
        except AccessDenied as error:
            print("told:", error)
        """,
    )
    waiting = alice.start("wait", [PYTHON, script])
    wait_for(lambda: "waits" in waiting.output)
    wait_for(lambda: keyed.own().ctl("--json", "jobs").stdout)
    revoke(keyed, "alice")
    wait_for(lambda: "told:" in waiting.output)
    assert "does not admit this key" in waiting.output
    assert waiting.wait() == 0


def test_what_was_revoked_stays_revoked(keyed):
    """Also over a restart, when the store has lost its memory of it."""
    keyed.client("alice")
    revoke(keyed, "alice")
    data = next((keyed.broker.output_path.parent).glob("data"))
    with Redis.of_broker(data) as redis:
        redis("HDEL", "us:keys", "revoked")
        redis("HINCRBY", "us:keys", "changes", "1")
        wait_for(lambda: redis("HGET", "us:keys", "revoked"))
        redis("HDEL", "us:keys", "revoked")
    keyed.broker.stop()
    keyed.start(data=data)
    alice = keyed.stage.client(keyed.broker)
    alice.env |= keyed.keys.env("alice")
    assert "does not admit this key" in denied(alice)


def test_a_node_goes_to_no_broker_that_was_revoked(keyed):
    """It was told once, and knows it over a restart, whatever that broker says then."""
    node = keyed.node("n1")
    cache = node.cache
    revoke(keyed, "the-broker")
    assert "broker " not in (keyed.keys.folder / "cluster.pub").read_text()
    node.stop()

    def start():
        return keyed.stage.client().start(
            "node",
            [BIN / "understudy-node", "--broker", keyed.broker.endpoint]
            + ["--cache", cache, "--runtime", ROOT / "client/python/src"]
            + [
                word
                for name, path in keyed.keys.options("n1").items()
                for word in (f"--{name}", path)
            ],
        )

    first = start()
    wait_for(lambda: "the broker's key was revoked" in first.output)
    first.signal(signal.SIGTERM)
    first.wait()
    # A broker that hides what it was told.
    data = next((keyed.broker.output_path.parent).glob("data"))
    with Redis.of_broker(data) as redis:
        redis("HDEL", "us:keys", "revoked")
    keyed.broker.stop()
    for kept in data.glob("revoked-*"):
        kept.unlink()
    keyed.start(data=data)
    again = start()
    wait_for(lambda: "the broker's key was revoked" in again.output)
    again.signal(signal.SIGTERM)
    again.wait()


def test_a_stolen_store_adds_nobody(keyed, directory):
    other = Keys(directory / "other")
    other.make("admin", "mallory")
    lines = other.certificate("mallory").read_text().splitlines()
    text = next(line for line in lines if line.startswith("certificate "))
    certificate = decode(text.partition(" ")[2])
    data = next((keyed.broker.output_path.parent).glob("data"))
    with Redis.of_broker(data) as redis:
        redis("HSET", "us:keys", b"k" * 32, certificate)
        redis("HSET", "us:keys", "revoked", b"nonsense")
        redis("HINCRBY", "us:keys", "changes", "1")
    wait_for(lambda: "not signed by this cluster" in keyed.broker.output)
    mallory = keyed.stage.client(keyed.broker)
    mallory.env |= other.env("mallory")
    denied(mallory)


def test_a_key_that_expires_is_sent_away(keyed):
    alice = keyed.client("alice", "--expires", "3s")
    assert alice.ctl("status").returncode == 0
    wait_for(lambda: alice.ctl("status", check=False).returncode == 78)
    assert "expired" in alice.ctl("status", check=False).stderr


# --- by hand, as docs/protocol.md tells -----------------------------------------------


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class KeyedPeer:
    """A DEALER with CURVE, made of a key file by what docs/protocol.md says of keys."""

    def __init__(self, keyed, name, role=None, routing_id=None, **fields):
        path = keyed.keys.folder / f"{name}.key"
        words = dict(
            line.split(" ", 1)
            for line in path.read_text().splitlines()[1:]
            if line[0] != "#"
        )
        secret = hashlib.blake2b(
            digest_size=32,
            key=bytes.fromhex(words["seed"]),
            salt=(1).to_bytes(8, "little") + bytes(8),
            person=b"us-trans" + bytes(8),
        ).digest()
        self.certificate = decode(words["certificate"])
        address, _, key = keyed.broker.endpoint.partition("#")
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.curve_secretkey = z85.encode(secret)
        self.socket.curve_publickey = zmq.curve_public(z85.encode(secret))
        self.socket.curve_serverkey = z85.encode(decode(key))
        if routing_id:
            self.socket.routing_id = routing_id
        self.socket.connect(address)
        if role:
            self.hello(role, **fields)
            self.welcome = self.expect(WELCOME)

    def hello(self, role, **fields):
        fields.setdefault("certificate", self.certificate)
        self.send(HELLO, role=role, version="test", **fields)

    def send(self, kind, items=None, bodies=(), **head):
        if items is not None:
            head["items"] = items
        self.socket.send_multipart([bytes([1, kind]) + msgpack.packb(head), *bodies])

    def expect(self, kind, timeout=30.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.socket.poll(int(timeout * 1000)), "no answer"
            header = self.socket.recv_multipart()[0]
            if header[1] == PING:
                self.send(PONG)
            if header[1] == kind:
                return msgpack.unpackb(header[2:])
        raise AssertionError(f"no message {kind}")

    def ask(self, what, **fields):
        """The code of the answer."""
        self.send(QUERY, what=what, ref=7, **fields)
        return self.expect(ANSWER)["code"]

    def close(self):
        self.socket.close()
        self.context.term()


@pytest.fixture
def peer(keyed):
    peers = []

    def make(name, role=None, **fields):
        if not (keyed.keys.folder / f"{name}.key").exists():
            keyed.client(name, *fields.pop("rights", ()), role=fields.pop("kind", role))
        else:
            fields.pop("rights", None), fields.pop("kind", None)
        peers.append(KeyedPeer(keyed, name, role, **fields))
        return peers[-1]

    yield make
    for each in peers:
        each.close()


def owner(name):
    digest = hashlib.sha256(b"understudy owner:" + name.encode()).digest()
    return int.from_bytes(digest[:8], "big")


def node_fields(name, channels=("default",), node=None):
    return {
        "node": node or owner(name) & ~0xFFFFFFFF | 5,
        "boot": 1,
        "channels": list(channels),
        "slots": 1,
        "pythons": ["3.11.2"],
    }


def refused(peer, role, **fields):
    peer.hello(role, **fields)
    error = peer.expect(ERROR)
    assert error["code"] == DENIED
    return error["text"]


def test_greetings(peer):
    alice = peer("alice", "client")
    assert alice.welcome["certificate"]
    assert "not the key of a node" in refused(alice, "node", **node_fields("alice"))
    other = alice.certificate[:-1] + bytes([alice.certificate[-1] ^ 1])
    assert "certificate" in refused(alice, "client", certificate=other)
    assert "certificate" in refused(alice, "client", certificate=b"")
    bob = peer("bob", "client")
    assert "certificate" in refused(alice, "client", certificate=bob.certificate)
    n1 = peer("n1", kind="node", rights=("--channel", "gpu*"))
    assert "not the key of a client" in refused(n1, "client")
    assert "may not listen" in refused(n1, "node", **node_fields("n1"))
    foreign = node_fields("n1", ["gpu"], node=owner("n2") & ~0xFFFFFFFF | 5)
    assert "belongs to another key" in refused(n1, "node", **foreign)
    n1.hello("node", **node_fields("n1", ["gpu-1"]))
    n1.expect(WELCOME)


def test_a_chosen_routing_id_is_refused(peer):
    alice = peer("alice", "client")
    thief = peer("alice", routing_id=b"node1")
    thief.hello("client")
    error = thief.expect(ERROR)
    assert error["code"] == PROTOCOL
    assert "routing id" in error["text"]
    assert alice.ask("status") == 0


def test_a_node_says_nothing_that_a_client_says(peer):
    n1 = peer("n1", "node", **node_fields("n1"))
    alice = peer("alice", "client")
    for kind in (SUBMIT, WATCH, CANCEL):
        n1.send(kind, items=[])
        assert n1.expect(ERROR)["code"] == PROTOCOL
    n1.send(QUERY, what="status", ref=1)
    assert n1.expect(ERROR)["code"] == PROTOCOL
    alice.send(CREDIT, credit=1)
    assert alice.expect(ERROR)["code"] == PROTOCOL
    alice.send(RESULT, items=[])
    assert alice.expect(ERROR)["code"] == PROTOCOL


def test_before_hello_nothing_is_heard(peer):
    alice = peer("alice", kind="client")
    alice.send(QUERY, what="status", ref=1)
    assert alice.expect(ERROR)["code"] == UNKNOWN_PEER


ADMINS = {
    "doctor": {},
    "drain": {"name": "x"},
    "keys": {},
    "revoked": {},
    "admit": {"certificate": b"x"},
    "revoke": {"revoked": b"x"},
    "purge": {},
}
EVERYBODY = ("status", "channels", "nodes", "brokers", "envs", "jobs")


def test_questions(peer):
    alice, root = peer("alice", "client"), peer("root", "client", kind="admin")
    for what in EVERYBODY:
        assert alice.ask(what) == root.ask(what) == 0, what
    for what, fields in ADMINS.items():
        assert alice.ask(what, **fields) == DENIED, what
        assert root.ask(what, **fields) != DENIED, what
    assert peer("bob", "client", rights=("--cancel", "all")).ask("purge") == 0


# --- rights ---------------------------------------------------------------------------


def submit(client, *args):
    return client.ctl("submit", *(args or ("--shell", "true")), check=False)


def test_channels(keyed):
    alice = keyed.client("alice", "--channel", "calc*")
    assert submit(alice, "--channel", "calculator", "--shell", "true").returncode == 0
    done = submit(alice)
    assert done.returncode == 77
    assert "may not submit to this channel" in done.stderr
    keyed.own().ctl("submit", "--shell", "true")
    seen = alice.ctl("--json", "channels").stdout.splitlines()
    assert [json.loads(row)["name"] for row in seen] == ["calculator"]


def test_shell(keyed):
    alice = keyed.client("alice", "--no-shell")
    done = submit(alice)
    assert done.returncode == 77
    assert "may not run shell commands" in done.stderr
    keyed.node()
    assert alice.script(CALL) == "3\n"
    bob = keyed.client("bob")
    assert submit(bob).returncode == 0


def test_packages(keyed):
    alice = keyed.client("alice", "--package", "numpy", "--package", "py*")
    for package, code in (("pytz", 0), ("NumPy>=1", 0), ("requests", 77)):
        done = submit(alice, "--package", package, "--shell", "true")
        assert done.returncode == code, done.stderr
    assert "may not use one of these packages" in done.stderr


def test_size(keyed):
    alice = keyed.client("alice", "--max-size", "1000")
    assert submit(alice, "--shell", "true " + "x" * 500).returncode == 0
    done = submit(alice, "--shell", "true " + "x" * 5000)
    assert done.returncode == 77
    assert "larger than this key may submit" in done.stderr


def test_so_many_jobs_that_have_not_ended(keyed):
    """The next one waits until one of them has ended, however it ends."""
    alice = keyed.client("alice", "--queued", "2")
    own = keyed.own()
    script = alice.write(
        "many.py",
        """
        from understudy.decorators import understudy


        @understudy("calc")
        def double(x):
            return 2 * x


        jobs = [double(x) for x in range(12)]
        print("sent", flush=True)
        jobs[0].cancel()
        print([job.result(60) for job in jobs[1:]])
        """,
    )
    many = alice.start("many", [PYTHON, script])
    wait_for(lambda: "sent" in many.output)
    wait_for(lambda: json.loads(own.ctl("--json", "channels").stdout)["submitted"] == 2)
    # Somebody else is not held up, nor is she elsewhere.
    assert keyed.client("bob").ctl("submit", "--channel", "calc", "--shell", "x")
    for _ in range(2):
        assert alice.ctl("submit", "--channel", "other", "--shell", "echo")
    done = alice.ctl(
        *("--timeout", "1", "submit", "--channel", "other", "--shell", "echo"),
        check=False,
    )
    assert done.returncode != 0
    keyed.node(channel="calc")
    assert many.wait() == 0
    assert f"{[2 * x for x in range(1, 12)]}" in many.output
    with Redis.of_broker(next(keyed.broker.output_path.parent.glob("data"))) as redis:
        counts = redis("KEYS", "us:{*}:o:*")
        assert len(counts) == 1
        assert counts[0].endswith(b":o:other")
        assert redis("HVALS", counts[0]) == [b"2"]


@pytest.fixture
def pair(stage, directory, redis_server):
    """A broker, and how to start another one on the same Redis; each has a key."""
    keyed = KeyedStage(stage, directory)
    keyed.keys.make("broker", "another")
    keyed.start(redis=redis_server)
    return keyed, lambda: stage.broker(redis_server, **keyed.keys.options("another"))


def test_other_brokers_are_learned_from_the_first(pair):
    """Client and node were given one address, before the other broker was there."""
    first, start_another = pair
    first.node()
    alice = first.client("alice")
    script = alice.write(
        "two.py",
        """
        import pathlib
        import time

        from understudy.decorators import understudy


        @understudy(block=True)
        def double(x):
            return 2 * x


        print(double(1), flush=True)
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        print(double(2), flush=True)
        """,
    )
    program = alice.start("two", [PYTHON, script])
    wait_for(lambda: "2\n" in program.output)
    start_another()
    wait_for(lambda: "tells peers of other brokers" in first.broker.output)
    first.broker.kill()
    (alice.directory / "go").touch()
    assert program.wait() == 0
    assert program.output == "2\n4\n"


def test_the_other_broker_hears_of_a_revocation_at_once(pair):
    """Not at its next beat only: from the next message on."""
    first, start_another = pair
    another = start_another()
    alice = first.client("alice")
    wait_for(lambda: "takes a key" in first.broker.output)
    alice.env["UNDERSTUDY_BROKER"] = another.endpoint
    assert alice.ctl("status").returncode == 0
    revoke(first, "alice")
    assert "does not admit" in denied(alice)


def test_keys_as_keywords(keyed):
    """Where neither variable nor file says which, and over what they say."""
    keyed.client("alice")
    keyed.node()
    folder = keyed.keys.folder
    nobody = keyed.stage.client(keyed.broker)
    script = f"""
        import pathlib, pickle
        from understudy import Executor, Result
        from understudy.decorators import understudy
        from understudy.exceptions import UnderstudyError
        key = pathlib.Path("{folder}/alice.key")
        where = {{"key": key, "cluster": "{folder}/cluster.pub"}}
        @understudy(**where)
        def double(x):
            return 2 * x
        job = double(1)
        print(job.get(30), Result(job.uuid, **where).get(30))
        print(pickle.loads(pickle.dumps(job)).get(30))
        with Executor(**where) as executor:
            print(list(executor.map(abs, [-1, -2])))
        for wrong in ({{"key": 1}}, {{"key": "{folder}/none.key"}}, {{"key": "none"}}):
            try:
                understudy(**(where | wrong))(abs)(1).get(30)
            except UnderstudyError as error:
                print(type(error).__name__, error)
    """
    two, again, mapped, number, missing, none = nobody.script(script).splitlines()
    assert (two, again, mapped) == ("2 2", "2", "[1, 2]")
    assert number.startswith("InvalidArgument key=1 is not the path")
    assert "none.key" in missing
    assert "wants a key" in none


def test_one_key_of_a_name_is_revoked_the_other_goes_on(keyed):
    """As when a key is replaced: both are good until the old one is taken away."""
    alice = keyed.client("alice")
    own = keyed.own()
    (old,) = map(json.loads, own.ctl("--json", "keys").stdout.splitlines())
    for path in keyed.keys.folder.glob("alice.*"):
        path.rename(path.with_name("old-" + path.name))
    anew = keyed.client("alice")
    alice.env["UNDERSTUDY_KEY"] = str(keyed.keys.folder / "old-alice.key")
    assert alice.ctl("status").returncode == anew.ctl("status").returncode == 0
    own.ctl("keys", "revoke", "--dir", str(keyed.keys.folder), "--", old["public"])
    assert "does not admit" in denied(alice)
    status = json.loads(anew.ctl("--json", "status").stdout)
    assert (status["you"], status["role"]) == ("alice", "client")
    assert json.loads(own.ctl("--json", "status").stdout)["role"] == "admin"
    what = [
        json.loads(line)
        for line in own.ctl(
            "--json", "audit", "--dir", str(keyed.broker.output_path.parent / "data")
        ).stdout.splitlines()
    ]
    admitted = [line["detail"] for line in what if line["what"] == "admit"]
    revoked = [line["detail"] for line in what if line["what"] == "revoke"]
    assert revoked == [f"alice (client) {old['public']}"]
    assert revoked[0] in admitted
    assert len(admitted) == 2


def test_a_key_named_on_the_command_line(keyed):
    keyed.client("alice")
    folder = keyed.keys.folder
    nobody = keyed.stage.client(keyed.broker)
    key = ("--key", str(folder / "alice.key"), "--cluster", str(folder / "cluster.pub"))
    assert "alice" in nobody.ctl(*key, "status").stdout
    said = nobody.ctl(*key, "doctor").stdout
    assert "brokers with a key of this cluster" in said
    assert "for admins alone" in said


def test_a_limit_of_bytes_may_have_a_unit(keyed):
    keyed.keys.make("client", "alice", "--max-size", "2M")
    keyed.admit("alice")
    (row,) = map(json.loads, keyed.own().ctl("--json", "keys").stdout.splitlines())
    assert row["max_size"] == 2 * 2**20
    done = keyed.own().ctl("keygen", "client", "b", "--max-size", "2X", check=False)
    assert done.returncode == 64
    assert "is not a size like 64K or 2M" in done.stderr


def test_a_retry_is_one_of_so_many_jobs(keyed):
    """What is handed in again is handed in, under the same limit."""
    alice = keyed.client("alice", "--queued", "1")
    node = keyed.node()
    job = alice.ctl("submit", "--wait", "--json", "--shell", "exit 3", check=False)
    failed = json.loads(job.stdout)["id"]
    node.stop()
    assert alice.ctl("submit", "--shell", "true").returncode == 0
    again = alice.ctl("--timeout", "1s", "retry", failed, check=False)
    assert again.returncode == 69
    assert json.loads(keyed.own().ctl("--json", "channels").stdout)["queued"] == 1


def test_rate(keyed):
    """More is not refused: it takes its time."""
    keyed.node()
    said = keyed.client("alice", "--rate", "20").script("""
        import time

        from understudy.decorators import understudy


        @understudy()
        def f(i):
            return i


        begin = time.monotonic()
        print(sum(job.get(60) for job in [f(i) for i in range(60)]))
        print(time.monotonic() - begin)
        """)
    total, seconds = said.split()
    assert total == str(sum(range(60)))
    assert float(seconds) > 1.5  # two seconds' worth beyond the first


WHOSE = {"own": ("mine",), "group": ("mine", "ours"), "all": ("mine", "ours", "theirs")}


@pytest.fixture
def three_jobs(keyed):
    """mine is of the key that is tried, ours of its group, theirs of a stranger."""
    keyed.node()
    ours = keyed.client("bob", "--group", "staff")
    theirs = keyed.client("carol")

    def make(*rights):
        mine = keyed.client("alice", "--group", "staff", *rights)
        ids = {}
        for name, client in (("mine", mine), ("ours", ours), ("theirs", theirs)):
            done = client.ctl("--json", "submit", "--wait", "--shell", f"echo {name}")
            rows = keyed.own().ctl("--json", "jobs").stdout.splitlines()
            assert done.returncode == 0
            jobs = {json.loads(row)["name"]: json.loads(row)["id"] for row in rows}
            ids[name] = jobs[f"echo {name}"]
        return mine, ids

    return make


@pytest.mark.parametrize("whose", WHOSE)
def test_whose_jobs_one_sees(three_jobs, whose):
    alice, ids = three_jobs("--see", whose, "--read", "none")
    rows = alice.ctl("--json", "jobs").stdout.splitlines()
    assert {json.loads(row)["id"] for row in rows} == {ids[n] for n in WHOSE[whose]}
    for name, job in ids.items():
        code = 0 if name in WHOSE[whose] else 77
        assert alice.ctl("show", job, check=False).returncode == code, name
        assert alice.ctl("logs", job, check=False).returncode == 77, name
        found = alice.ctl("show", job[:8], check=False).returncode
        assert found == (0 if code == 0 else 1), name


@pytest.mark.parametrize("whose", WHOSE)
def test_whose_logs_one_reads(three_jobs, whose):
    alice, ids = three_jobs("--read", whose)
    for name, job in ids.items():
        done = alice.ctl("logs", job, check=False)
        if name in WHOSE[whose]:
            assert done.stdout == f"{name}\n"
        else:
            assert (done.returncode, done.stdout) == (77, "")


@pytest.mark.parametrize("whose", WHOSE)
def test_whose_jobs_one_retries_and_cancels(three_jobs, whose):
    alice, ids = three_jobs("--retry", whose, "--cancel", whose)
    for name, job in ids.items():
        is_allowed = name in WHOSE[whose]
        assert alice.ctl("retry", job, check=False).returncode == (
            0 if is_allowed else 77
        )
        # These have ended: who may cancel them is told so.
        assert alice.ctl("cancel", job, check=False).returncode == (
            1 if is_allowed else 77
        )


def test_owners_share_no_worker(keyed):
    keyed.node(slots=1)
    text = """
        from understudy.decorators import understudy


        @understudy()
        def pid():
            import os

            return os.getpid()


        print(pid().get(30), pid().get(30))
        """
    path = keyed.stage.folder("shared")
    said = {}
    for name in ("alice", "bob"):
        client = keyed.client(name)
        client.directory = path
        client.env["UNDERSTUDY_OWNER"] = "the same, they say"
        said[name] = client.script(text).split()
    assert len(set(said["alice"])) == len(set(said["bob"])) == 1
    assert said["alice"] != said["bob"]


# --- who did what ---------------------------------------------------------------------


def test_audit(keyed):
    keyed.node("n1")
    alice = keyed.client("alice", "--channel", "default")
    for _ in range(3):
        assert submit(alice).returncode == 0
    denied(alice, "submit", "--channel", "other", "--shell", "true")
    job = json.loads(alice.ctl("--json", "submit", "--shell", "sleep 60").stdout)["id"]
    alice.ctl("cancel", job, check=False)
    denied(alice, "drain", "x")
    revoke(keyed, "alice")
    denied(alice)
    data = next((keyed.broker.output_path.parent).glob("data"))

    def lines(*options):
        own = keyed.own()
        done = own.ctl("--json", "audit", "--dir", str(data), *options)
        return [json.loads(line) for line in done.stdout.splitlines()]

    wait_for(lambda: sum(line.get("jobs", 0) for line in lines("--who", "alice")) == 4)
    what = {line["what"] for line in lines("--who", "alice")}
    assert what == {"submit", "cancel", "deny"}
    assert {line["detail"] for line in lines("--what", "cancel")} == {job}
    assert sum(line.get("refused", 0) for line in lines("--who", "alice")) == 1
    mine = [line["what"] for line in lines() if "key" not in line]
    assert mine == ["admit", "admit", "revoke"]
    assert [line["what"] for line in lines("--who", "n1")] == ["join"]
    assert len(lines("--limit", "2")) == 2
    assert (data / "audit.log").stat().st_mode & 0o777 == 0o600
    table = keyed.own().ctl("audit", "--dir", str(data)).stdout
    assert table.split()[:3] == ["TIME", "WHAT", "KEY"]
