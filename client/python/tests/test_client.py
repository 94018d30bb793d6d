# SPDX-License-Identifier: MIT
"""One client for each address, forks, and the end of the process."""

from __future__ import annotations

import os

import pytest

from understudy import Lead, _client
from understudy.exceptions import BrokerUnreachable


def in_child(act):
    """Whether act() is true in a forked child."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if act() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_one_for_each_address(core):
    one, same = Lead("a").shell("true"), Lead("b").shell("true")
    other = Lead("a", broker="tcp://elsewhere:1").shell("true")
    assert one._client is same._client
    assert one._client is not other._client
    assert [client.connects for client in core.Client.made] == [1, 1]
    assert core.Client.made[1].settings["broker"] == "tcp://elsewhere:1"


def test_it_connects_again_after_a_failure(core):
    lead = Lead("a")
    first = lead.shell("true")
    client = first._client
    client.connected = -1
    client.core.unreachable = True
    with pytest.raises(BrokerUnreachable):
        lead.shell("true")
    client.core.unreachable = False
    assert lead.shell("true").uuid


def test_a_child_connects_for_itself(core):
    lead = Lead("a")
    lead.shell("true")
    client = core.Client.made[0]

    def child():
        lead.shell("true")
        return client.connects == 2 and core.Client.made == [client]

    assert in_child(child)
    assert client.connects == 1


def test_callbacks_in_a_child(core):
    """The thread of the parent does not exist there; a new one takes its place."""
    import threading

    lead = Lead("a")
    old = lead.shell("true")
    old.add_done_callback(lambda future: None)
    assert old._client._thread is not None

    def child():
        called = threading.Event()
        old.add_done_callback(lambda future: called.set())
        old._job.finish(1)
        new = lead.shell("true")
        again = threading.Event()
        new.add_done_callback(lambda future: again.set())
        new._job.finish(2)
        return called.wait(10) and again.wait(10) and new.get() == 2

    assert in_child(child)


def test_a_child_does_not_tell_of_the_parents_jobs(core, capfd):
    lead = Lead("a")
    kept = lead.shell("true")
    client = core.Client.made[0]
    client.accept = False
    lead.shell("orphan")

    def child():
        _client._at_exit()
        return True

    assert in_child(child)
    assert capfd.readouterr().err == ""
    assert kept.uuid
    client.accept = True
    kept._client._orphans.clear()


def test_many_dropped_results_are_forgotten(core):
    lead = Lead("a")
    first = lead.shell("true")
    client = first._client
    client.core.accept = False
    for _ in range(500):
        lead.shell("dropped")
        for job in client.core.jobs:
            job.state = 1
    assert len(client._orphans) < 200
