# SPDX-License-Identifier: MIT
"""The disk of the private Redis is full for a while: nothing that was accepted is lost,
what cannot be written is not accepted, and all goes on once there is room."""

import json
import os
import subprocess

import pytest

from support import PYTHON, wait_for
from support.processes import StartError

SIZE = 96 * 1024 * 1024
JOBS = 20

LOAD = """
    import sys

    from understudy import Executor


    def length(data):
        return len(data)


    count = int(sys.argv[1])
    with Executor("calculator") as pool:
        futures = [pool.submit(length, bytes([n]) * 200000) for n in range(count)]
        assert [future.result(120) for future in futures] == [200000] * count
        print("done", flush=True)
"""


@pytest.fixture
def small_disk(directory):
    """A file system of its own, mounted where only root can."""
    if os.geteuid() != 0:
        pytest.fail("a small file system needs root: run the tests as root")
    path = directory / "disk"
    path.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "understudy-test", path]
    subprocess.run(mount, check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def fill(path, but=0):
    """Takes all the room there is, but for so many bytes."""
    with (path / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(65536))
        except OSError:
            pass
        ballast.truncate(ballast.tell() - but)


def submit(user, *options):
    job = ["submit", *options, "--channel", "later", "--shell", "true"]
    return user.ctl("--json", *job, check=False)


def submit_until_refused(user):
    """A full disk still takes what fits in the last page of Redis's file: some jobs.
    Returns the ids that were accepted, and the answer to the one that was not."""
    accepted = []
    for _ in range(100):
        answer = submit(user, "--timeout", "3s")
        if answer.returncode != 0:
            return accepted, answer
        accepted.append(json.loads(answer.stdout)["id"])
    pytest.fail(f"a full disk took {len(accepted)} jobs")


@pytest.mark.slow
def test_a_full_disk(small_disk, broker, node, client):
    service = broker(data=small_disk / "data")
    node(channel="calculator")
    user = client()
    path = user.write("load.py", LOAD)
    user.run([PYTHON, path, "1"])
    accepted = [json.loads(submit(user).stdout)["id"] for _ in range(20)]
    fill(small_disk)
    running = user.start("load", [PYTHON, path, str(JOBS)])
    # appendfsync always: redis-server ends rather than forget what it has answered.
    wait_for(lambda: "no space left" in service.output, 20)
    more, refused = submit_until_refused(user)
    accepted += more
    assert "not known whether the job was accepted" in refused.stderr
    assert running.running and "done" not in running.output
    (small_disk / "ballast").unlink()
    assert running.wait(90) == 0, running.output
    *waited, done = running.output.splitlines()
    assert done == "done"
    assert all("length waits: it has not been accepted yet" in line for line in waited)
    node(channel="later")
    for job in accepted:
        wait_for(lambda job=job: "SUCCEEDED" in user.ctl("show", job).stdout, 20)
    assert service.running


def test_the_broker_ends_on_a_full_disk(small_disk, broker, client):
    """Also while redis-server waits to be started again."""
    service = broker(data=small_disk / "data")
    fill(small_disk)
    submit_until_refused(client())
    wait_for(lambda: service.output.count("redis.died") > 3, 20)
    assert service.stop() == 0, service.output


def test_a_disk_that_is_full_from_the_start(small_disk, broker):
    (small_disk / "data").mkdir(mode=0o700)
    fill(small_disk)
    with pytest.raises(StartError, match="cannot be used: No space left on device"):
        broker(data=small_disk / "data")


def test_a_disk_with_room_for_nothing_but_our_own_files(small_disk, broker):
    """redis-server takes connections, cannot write its first file, and ends."""
    (small_disk / "data").mkdir(mode=0o700)
    fill(small_disk, but=3 * 4096)
    with pytest.raises(StartError, match=f"does not start in {small_disk}.*no space"):
        broker(data=small_disk / "data")
