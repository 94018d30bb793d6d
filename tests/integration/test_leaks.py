# SPDX-License-Identifier: MIT
"""Daemons give back what they took: descriptors, processes, files."""

import json

import pytest

from support import wait_for
from support.processes import descendants

JOBS = """
import tempfile
from understudy import Executor

def meet(folder, name):
    # ends once both have begun: each slot has its worker then
    import os
    import time
    open(os.path.join(folder, name), "w").close()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.01)

with Executor("default") as executor:
    assert list(executor.map(meet, [tempfile.mkdtemp()] * 2, "ab")) == [None] * 2
    assert list(executor.map(abs, range(-200, 0))) == list(range(200, 0, -1))
    assert executor.submit(len, bytes(1 << 20)).result() == 1 << 20
"""


@pytest.mark.core
def test_descriptors_come_back(broker, node, client):
    broker, node, user = broker(), node(), client()
    user.script(JOBS)  # what is made once and kept
    before = broker.descriptors, node.descriptors
    for _ in range(3):
        user.script(JOBS)
    # A client's connection goes a moment after the client.
    wait_for(lambda: broker.descriptors <= before[0])
    wait_for(lambda: node.descriptors <= before[1])


def test_nothing_outlives_the_daemons(broker, node, client, directory):
    broker, node, user = broker(), node(), client()
    user.script(JOBS)
    children = [*descendants(broker.pid), *descendants(node.pid)]
    assert len(children) >= 2  # redis-server, and a zygote
    assert node.stop() == 0
    assert broker.stop() == 0
    temporary = [path for path in directory.rglob("*") if path.is_socket()]
    assert temporary == []
    # The fixture no_leftovers looks for the processes.


def test_clients_end_while_ends_arrive(broker, client):
    """A handle is let go in the moment in which its job's end comes: once the engine
    then waited for ever for a result that it had already let go of."""
    broker()
    user = client()
    submitted = user.ctl("--json", "submit", "--shell", "true").stdout
    uuid = json.loads(submitted)["id"]
    for _ in range(100):
        assert "CANCELLED" in user.ctl("cancel", uuid).stdout
