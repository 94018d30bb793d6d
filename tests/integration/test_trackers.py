# SPDX-License-Identifier: MIT
"""Resource trackers tidy up what a job has left in /dev/shm, however it ended."""

import os
from pathlib import Path

import pytest

from support import PYTHON, wait_for

SCRIPT = """
    import os
    import sys
    import time
    from multiprocessing.shared_memory import SharedMemory

    from understudy.decorators import understudy


    @understudy(hard_timeout=1 if sys.argv[2] == "limit" else None)
    def leak(name, how):
        # A second attempt may begin before the tracker of the first has done its work.
        SharedMemory(f"{name}-{os.getpid()}", create=True, size=1000)
        if how == "die":
            os.abort()
        print("made", flush=True)
        if how != "return":
            time.sleep(100)


    result = leak(sys.argv[1], sys.argv[2])
    if sys.argv[2] == "cancel":
        for line in result.stream_log():
            result.interrupt()
            break
    try:
        result.result(60)
        print("ended well")
    except Exception as error:
        print(type(error).__name__)
    """


def shared(name):
    """The memory that jobs have made under names that begin so."""
    return list(Path("/dev/shm").glob(f"{name}-*"))


def remove(name):
    for path in shared(name):
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "how, end",
    [
        ("return", "ended well"),
        ("limit", "TimeLimitExceeded"),
        ("cancel", "JobCancelled"),
        ("die", "WorkerDied"),
    ],
)
def test_shared_memory_is_removed(broker, node, client, how, end):
    name = f"understudy-{os.getpid()}-{how}"
    broker()
    node(channel=["default"], slots=1)
    try:
        said = client().script(SCRIPT, name, how)
        assert said == f"{end}\n"
        wait_for(lambda: not shared(name), what="the tracker removes it")
    finally:
        remove(name)


def test_a_node_that_ends_lets_them_tidy_up(broker, node, client):
    name = f"understudy-{os.getpid()}-end"
    broker()
    running = node(channel=["default"], slots=1, grace="1s")
    user = client()
    script = user.write("script.py", SCRIPT)
    try:
        waiting = user.start("user", [PYTHON, script, name, "wait"])
        wait_for(lambda: shared(name), what="the job makes it")
        running.stop()
        assert not shared(name)
        waiting.kill()
    finally:
        remove(name)
