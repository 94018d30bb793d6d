# SPDX-License-Identifier: MIT
"""Several machines: broker, two nodes and a client, each in a network namespace with an
address of its own."""

import json
import os
import sys

import pytest

from support import PYTHON, wait_for

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
