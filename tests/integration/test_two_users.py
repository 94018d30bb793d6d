# SPDX-License-Identifier: MIT
"""Two users of one machine. What alice runs is hers alone, without a key or a setting;
mallory tries what a user of the same machine can try."""

import os
import socket
import stat
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from support import ROOT, wait_for
from support.services import Client

pytestmark = pytest.mark.core

ALICE, MALLORY = 54321, 54322


@pytest.fixture
def shared():
    """A folder that everybody may look into, with an installed Understudy."""
    if os.geteuid() != 0:
        pytest.fail("other users need root: run the tests as root")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        install = ["cmake", "--install", ROOT / "build", "--prefix", f"{folder}/us"]
        subprocess.run(install, check=True, capture_output=True)
        yield Path(folder)


@pytest.fixture
def user(shared, stage):
    def make(uid):
        home = shared / f"home-{uid}"
        home.mkdir()
        home.chmod(0o755)
        os.chown(home, uid, uid)
        prefix = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]
        client = Client(home, None, prefix, stage._users.append)
        client.env["PATH"] = f"{shared}/us/bin:{client.env['PATH']}"
        for name in ("UNDERSTUDY_BIN_DIR", "PYTHONPATH", "TMPDIR", "XDG_RUNTIME_DIR"):
            client.env.pop(name, None)
        return client

    return make


@pytest.fixture
def alice(user):
    """With a broker, a node, and a job that has run."""
    alice = user(ALICE)
    alice.broker = alice.start("broker", ["understudy-broker"])
    wait_for(lambda: "broker.ready" in alice.broker.output)
    alice.node = alice.start("node", ["understudy-node"])
    submit = ["understudy-ctl", "submit", "--wait", "--shell", "id -u"]
    assert alice.run(submit).stdout == f"{ALICE}\n"
    yield alice
    alice.node.stop()
    alice.broker.stop()


def files(root):
    for folder, _, names in os.walk(root):
        yield Path(folder)
        yield from (Path(folder) / name for name in names)


def of_alice():
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if place.stat().st_uid == ALICE:
                yield place
        except FileNotFoundError:
            pass


def test_mallory_does_not_find_alice(alice, user):
    mallory = user(MALLORY)
    done = mallory.run(["understudy-ctl", "status"], check=False)
    assert done.returncode == 69
    assert "no broker answers" in done.stderr


def test_mallory_is_told_whose_broker_it_is(alice, user):
    (own,) = (path for path in files(alice.directory) if path.name == "broker.sock")
    mallory = user(MALLORY)
    ask = ["understudy-ctl", "--broker", f"ipc://{own}", "status"]
    done = mallory.run(ask, check=False)
    assert done.returncode != 0
    assert "another user" in done.stderr
    # Also where she has opened all of it by mistake.
    for path in (own, *own.parents):
        if path.stat().st_uid == ALICE:
            path.chmod(0o777)
    done = mallory.run([*ask, "--timeout", "2s"], check=False)
    assert done.returncode != 0
    assert "another user" in done.stderr


def test_mallory_reads_and_enters_nothing(alice, user):
    mallory = user(MALLORY)
    sockets = [path for path in files(alice.directory) if path.is_socket()]
    assert {path.name for path in sockets} >= {"broker.sock", "redis.sock"}
    places = [
        path
        for path in files(alice.directory)
        if path != alice.directory and path.suffix != ".log"
    ]
    tried = mallory.run(
        ["python3", "-", *map(str, places)],
        stdin="""
import os, socket, stat, sys
for path in sys.argv[1:]:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISSOCK(mode):
            socket.socket(socket.AF_UNIX).connect(path)
        elif stat.S_ISDIR(mode):
            os.listdir(path)
        else:
            open(path, "rb").read(1)
    except (PermissionError, FileNotFoundError):
        continue
    print(path)
""",
    ).stdout.split()
    # Folders of the XDG specification are as she has them; ours within are closed.
    assert {Path(path).name for path in tried} <= {"state", "cache", "config"}


def test_alice_listens_on_files_only(alice):
    inodes = set()
    for process in of_alice():
        for fd in (process / "fd").glob("*"):
            try:
                target = os.readlink(fd)
            except FileNotFoundError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
    assert inodes
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            assert fields[9] not in inodes or fields[3] != "0A"  # it listens
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        listens = int(fields[3], 16) & 0x10000
        if fields[6] in inodes and listens:
            assert len(fields) > 7
            assert not fields[7].startswith("@"), line  # anybody's to connect to


def test_alice_leaves_nothing_for_others_in_shared_places(alice):
    for place in ("/tmp", "/dev/shm", "/var/tmp"):
        for path in files(place):
            if path.is_relative_to(alice.directory) or path.is_symlink():
                continue
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if status.st_uid == ALICE:
                assert not stat.S_IMODE(status.st_mode) & 0o077, path


def test_no_secret_stands_where_mallory_can_read(alice):
    """Command lines are for everybody; environments and memory are not."""
    (admin,) = (p for p in files(alice.directory) if p.name == "redis-admin.auth")
    password = admin.read_text().strip().partition(":")[2]
    for process in of_alice():
        line = (process / "cmdline").read_bytes()
        assert password.encode() not in line
        assert b"us-broker" not in line


def test_a_port_that_mallory_took_first_leads_alice_nowhere(user):
    """The usual port was where start() found a broker once, whosever it was."""
    alice = user(ALICE)
    with closing(socket.socket()) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 7420))
        taken.listen()
        taken.settimeout(0)
        done = alice.run(["understudy-ctl", "--timeout", "2s", "status"], check=False)
        assert done.returncode == 69
        broker = alice.start("broker", ["understudy-broker"])
        wait_for(lambda: "broker.ready" in broker.output)
        assert alice.run(["understudy-ctl", "status"]).returncode == 0
        with pytest.raises(BlockingIOError):
            taken.accept()
        assert broker.stop() == 0
