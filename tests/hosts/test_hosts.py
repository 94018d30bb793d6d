# SPDX-License-Identifier: MIT
"""Several machines: broker, two nodes and a client, each in a network namespace with an
address of its own."""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from support import BIN, PYTHON, alive, wait_for
from support.documents import Document
from support.keys import Keys
from support.paths import REDIS_SERVER
from support.processes import descendants

README = Document("README.md")

OWN_MINOR = ".".join(map(str, sys.version_info[:2]))  # that of nodes here, too


@pytest.fixture
def network(hosts, stage):
    """Starts parts on machines of their own; .broker(), .node(), .client()."""

    class Network:
        def __init__(self):
            self.hosts = {}

        def host(self, name):
            if name not in self.hosts:
                self.hosts[name] = hosts.add(name)
            return self.hosts[name]

        def broker(self, name="broker", **options):
            host = self.host(name)
            return stage.broker(
                bind=f"tcp://{host.address}:7420",
                insecure=True,
                prefix=host.prefix,
                **options,
            )

        def node(self, name, broker, **options):
            return stage.node(broker, prefix=self.host(name).prefix, **options)

        def client(self, broker, name="client"):
            return stage.client(broker, prefix=self.host(name).prefix)

    return Network()


WHERE = """
    import sys

    from understudy import Executor


    def where(folder):
        # ends once jobs have begun on both machines
        import os
        import subprocess
        import time

        out = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True)
        address = [w for w in out.stdout.split() if w.startswith("10.77")][0]
        open(os.path.join(folder, address.split("/")[0]), "w").close()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.01)
        return address


    with Executor("calculator") as pool:
        print(*sorted(set(pool.map(where, [sys.argv[1]] * 12))))
"""


def test_four_machines(network, directory):
    broker = network.broker()
    for name in ("node-a", "node-b"):
        network.node(name, broker, channel="calculator")
    seen = directory / "seen"
    seen.mkdir()
    said = network.client(broker).script(WHERE, str(seen))
    addresses = [network.host(name).address for name in ("node-a", "node-b")]
    assert said.split() == [f"{address}/24" for address in addresses]


def test_wakes_are_relayed_where_redis_is_out_of_reach(network, stage):
    """Two brokers; the node's broker is not the one that gets the job, and the node
    cannot see Redis's socket."""
    server = stage.redis()
    near, far = network.broker("one", redis=server), network.broker("two", redis=server)
    network.host("node").hide(server.directory)
    node = network.node("node", far, channel="calculator")
    user = network.client(near)
    said = user.script("""
        import statistics
        import time

        from understudy import Lead

        lead = Lead("calculator")
        lead.shell("true").get(timeout=30)
        times = []
        for _ in range(20):
            start = time.monotonic()
            lead.shell("true").get(timeout=30)
            times.append(time.monotonic() - start)
        print(statistics.median(times))
        """)
    # Without the relay each job would wait for the broker's look once a second.
    assert float(said) < 0.3
    assert node.running


def test_a_cable_that_is_pulled(network, hosts):
    """A short cut: the job goes on, its result arrives, nothing runs twice."""
    broker = network.broker(lease="60s")
    network.node("node", broker, channel="calculator")
    user = network.client(broker)
    path = user.write(
        "cut.py",
        """
        from understudy import Lead

        import sys

        go, gone = sys.argv[1:]
        wait = f"while ! [ -e {go} ]; do sleep 0.1; done"
        command = f"echo begun; {wait}; echo done; touch {gone}"
        result = Lead("calculator").shell(command)
        for line in result.stream_log():
            print(line.strip(), flush=True)
        print(result.get(timeout=60), flush=True)
        """,
    )
    go, gone = user.directory / "go", user.directory / "gone"
    running = user.start("cut", [PYTHON, path, go, gone])
    wait_for(lambda: "begun" in running.output, 60)
    hosts.unplug(network.host("node"))
    go.touch()
    wait_for(gone.exists)
    with pytest.raises(AssertionError):
        wait_for(lambda: running.popen.poll() is not None, 4)
    hosts.plug(network.host("node"))
    assert running.wait() == 0
    assert running.output.split() == ["begun", "done", "begun", "done"]


def test_several_pythons(stage, others):
    """A job gets the Python it asks for; one that nobody offers holds nobody up."""
    stage.broker()
    pythons = ["/usr/bin/python3", *others]
    stage.node(channel="calculator", python=pythons)
    user = stage.client()
    said = user.script(
        """
        import subprocess
        import sys

        from understudy import Lead

        never = Lead("calculator", python="3.99").shell("true")
        never.accepted(30)
        for path in sys.argv[1:]:
            ask = "import sys; print('%d.%d' % sys.version_info[:2])"
            minor = subprocess.check_output([path, "-c", ask], text=True).strip()
            said = Lead("calculator", python=minor).shell(f'python -c "{ask}"')
            print(said.get(timeout=60).strip() == minor)
        print(never.status, never.cancel())
        """,
        *pythons,
    )
    assert said.splitlines() == ["True"] * len(pythons) + ["QUEUED True"]


@pytest.fixture
def others(directory):
    """Other Pythons of this machine, where it has any: the one of Debian under another
    path counts as one more interpreter of the same version otherwise."""
    import glob
    import subprocess

    home = os.path.expanduser("~")  # of whoever: it may not be there
    places = ("/usr/bin/python3.*", "/usr/local/bin/python3.*", "/opt/*/bin/python3")
    places += (f"{home}/.pyenv/versions/*/bin/python3",)
    found = {}
    for path in sorted(path for place in places for path in glob.glob(place)):
        done = subprocess.run(
            [path, "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        minor = done.stdout.strip()
        if done.returncode == 0 and minor != OWN_MINOR and int(minor[2:]) >= 9:
            found[done.stdout.strip()] = path
    return list(found.values())


def test_by_value_code_for_another_python_is_refused(broker, node, client):
    """The envelope says which minor version wrote it; checked before it is loaded."""
    from integration.test_protocol import SUBMIT, Peer, new_id
    from understudy import _msgpack as msgpack

    served = broker()
    node(channel="calculator")
    peer = Peer(served.endpoint, "client")
    code = {"pickle": b"\x80\x05not loaded", "python": "3.4", "cloudpickle": None}
    envelope = [1, code, ["m", msgpack.packb([[], {}])]]
    spec = {"kind": "call", "name": "x"}
    job = {"id": new_id("calculator"), "channel": "calculator"}
    job["spec"] = msgpack.packb(spec)
    try:
        peer.send(SUBMIT, [job], [msgpack.packb(envelope)])
        head, bodies = peer.expect(21, 30)
        assert head["items"][0]["code"] == -20
        failure = msgpack.unpackb(bodies[0])
        assert "3.4" in failure["message"]
        assert OWN_MINOR in failure["message"]
    finally:
        peer.close()
    (status,) = map(json.loads, client().ctl("--json", "status").stdout.splitlines())
    assert status["nodes"] == 1


def test_the_readme_joins_three_hosts(hosts, stage):
    """As it stands there: keys are made on the broker's host, and copied."""
    names = ("broker", "node", "client")
    places = {name: hosts.add(name) for name in names}
    users = {name: stage.client(prefix=places[name].prefix) for name in names}
    for user in users.values():
        user.env["PATH"] = f"{BIN}:{user.env['PATH']}"
        del user.env["XDG_CONFIG_HOME"]
    address = places["broker"].address

    def start(name, line):
        return users[name].start("daemon", ["sh", "-c", f"exec {line}"])

    cluster, key, line = README.block("sh", "broker's host").strip().splitlines()
    for command in (cluster, key):
        users["broker"].run(["sh", "-ec", command])
    broker = start("broker", line)
    wait_for(lambda: "broker.ready" in broker.output)
    users["broker"].run(["sh", "-ec", README.block("sh", "more keys")])
    source = users["broker"].directory / ".config/understudy"
    for name, key in (("node", "worker.key"), ("client", "alice.key")):
        there = users[name].directory / ".config/understudy"
        there.mkdir(parents=True)
        for file in ("cluster.pub", key):
            shutil.copy(source / file, there)
    line = README.block("sh", "node's host").strip().replace("HOST", address)
    node = start("node", line)
    wait_for(lambda: "broker.connected" in node.output)
    said = users["client"].script(
        """
        from understudy.decorators import understudy


        @understudy("calculator")
        def add(a, b):
            return a + b


        print(add(1, 2).get(60))
        """,
        UNDERSTUDY_BROKER=f"tcp://{address}:7420",
    )
    assert said == "3\n"
    assert node.stop() == broker.stop() == 0


START = """
    from understudy import Understudy

    Understudy("calculator", host="{redis}", port=6379).start()
    """
CALL = """
    from understudy.decorators import understudy


    @understudy("calculator", host="{redis}", port=6379)
    def add(a, b):
        return a + b


    print(add(1, 2).get(60))
    """


@pytest.fixture
def with_redis_between(hosts, stage):
    """One host listens with start(), another calls; both know a Redis on a third."""
    places = {name: hosts.add(name) for name in ("redis", "one", "two")}
    address = places["redis"].address
    server = stage.client(prefix=places["redis"].prefix)
    argv = [REDIS_SERVER, "--bind", address, "--protected-mode", "no"]
    redis = server.start("redis", argv)
    wait_for(lambda: "Ready to accept" in redis.output)
    users = {name: stage.client(prefix=places[name].prefix) for name in ("one", "two")}
    listening = None

    def start():
        nonlocal listening
        path = users["one"].write("listen.py", START.format(redis=address))
        listening = users["one"].start("listen", [PYTHON, path])
        wait_for(lambda: "listening on channel" in listening.output)
        return listening

    yield start, users, CALL.format(redis=address)
    if listening:
        children = descendants(listening.pid)
        listening.signal(signal.SIGINT)
        listening.wait()
        wait_for(lambda: not any(alive(pid) for pid in children))
    redis.stop()


def test_a_redis_between_them_and_keys(with_redis_between, directory):
    start, users, call = with_redis_between
    keys = Keys(directory / "keys")
    keys.make("node", "n1")
    keys.make("client", "alice")
    for name, files in {
        "one": ("the-broker.key", "n1.key", "cluster.pub"),
        "two": ("alice.key", "cluster.pub"),
    }.items():
        there = Path(users[name].env["XDG_CONFIG_HOME"]) / "understudy"
        there.mkdir(parents=True)
        for file in files:
            shutil.copy(keys.folder / file, there)
    start()
    users["one"].env["UNDERSTUDY_REDIS"] = re.search(r'host="(.*?)"', call)[1].join(
        ("redis://", ":6379")
    )
    for name in ("n1", "alice"):
        users["one"].ctl(
            *("keys", "add", str(keys.certificate(name))),
            *("--dir", str(keys.folder)),
        )
    assert users["two"].script(call) == "3\n"


def test_a_redis_between_them_and_no_keys(with_redis_between):
    start, users, call = with_redis_between
    listening = start()
    assert "with keys other machines would" in listening.output
    done = users["two"].run(
        [PYTHON, users["two"].write("call.py", call)],
        check=False,
        UNDERSTUDY_CONNECT_TIMEOUT="1s",
    )
    assert "BrokerUnreachable" in done.stderr
