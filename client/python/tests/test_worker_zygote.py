# SPDX-License-Identifier: MIT
"""How zygotes and workers start, find their bundles, and end.

The contract is docs/worker-protocol.md."""

import os
import pathlib
import pickle
import resource
import struct
import subprocess
import sys

from worker_harness import (
    DEADLINE,
    INLINE,
    MAIN,
    bundle_call,
    echo,
    end_group,
    is_alive,
    run_tests,
    until,
    zygote,
)

from understudy import _envelope, exceptions
from understudy._msgpack import packb

# --- Starting -------------------------------------------------------------------------


def test_start_and_leave():
    with zygote() as running:
        assert running.hello == {"python": sys.version.split()[0].rstrip("+")}
        forked = running.fork()
        with open(f"/proc/{forked.pid}/cmdline", "rb") as line:
            assert line.read().startswith(b"understudy-worker")
        with open(f"/proc/{running.process.pid}/cmdline", "rb") as line:
            assert b"understudy-zygote" in line.read()
        assert os.getpgid(forked.pid) == forked.pid
        assert os.getsid(forked.pid) == forked.pid
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0
        forked.close()
    assert running.process.returncode == 0


def test_what_a_job_finds():
    source = """
import os, random, sys, understudy, understudy._context
def f():
    print(os.read(0, 10))
    main = sys.modules["__main__"]
    return [sys.path[-1], sys.argv, hasattr(main, "main"),
            understudy._context.in_worker, os.getcwd() != "",
            "understudy._core" in sys.modules, random.random()]
"""
    with zygote() as running:
        numbers = []
        for _ in range(2):
            forked = running.fork()
            *found, number = forked.value(echo(source))
            numbers.append(number)
            path = str(MAIN.parents[2])
            assert found == [path, ["understudy-worker"], False, True, True, False]
            forked.close()
        assert numbers[0] != numbers[1]


def test_many_workers_unpack_the_same_bundle():
    files = {"pkg/__init__.py": "from .a import A\n", "pkg/a.py": "A = 7\n"}
    with zygote() as one, zygote() as two:
        two.cache = one.cache
        bundle = one.bundle(files)
        workers = [z.fork(bundle) for z in (one, two, one, two)]
        source = "def f():\n    import pkg\n    return [pkg.A, pkg.__file__]\n"
        for forked in workers:
            call = bundle_call(bundle[0], "os:getcwd")
            forked.run(call)
            value, place = forked.value(echo(source))
            assert value == 7
            assert place == str(
                one.cache / "bundles" / bundle[0].hex() / "pkg/__init__.py"
            )
            forked.close()
        assert os.listdir(one.cache / "bundles") == [bundle[0].hex()]


def test_a_damaged_cache_is_mended():
    files = {"m.py": "def f():\n    return 1\n"}
    with zygote() as running:
        bundle = running.bundle(files)
        place = running.cache / "bundles" / bundle[0].hex()
        place.mkdir(parents=True)
        (place / "m.py").write_text("")  # as after a power failure
        forked = running.fork(bundle)
        assert forked.value(bundle_call(bundle[0], "m:f")) == 1
        forked.close()
        assert os.listdir(running.cache / "bundles") == [bundle[0].hex()]


def test_a_file_of_the_same_size_is_not_believed():
    """As after a damage to the disk, while no zygote ran."""
    files = {"m.py": "def f():\n    return 1\n"}
    with zygote() as running:
        bundle = running.bundle(files)
        place = running.cache / "bundles" / bundle[0].hex()
        place.mkdir(parents=True)
        (place / "m.py").write_text("def f():\n    return 2\n")
        forked = running.fork(bundle)
        assert forked.value(bundle_call(bundle[0], "m:f")) == 1
        forked.close()
        assert os.listdir(running.cache / "bundles") == [bundle[0].hex()]


EDITS = {
    "a file": "edit(here, text.replace('1', '2'))",
    "a file, with its old times": "edit(here, text.replace('1', '2'))\n"
    "    os.utime(here, ns=(before.st_atime_ns, before.st_mtime_ns))",
    "a file that is another now": "edit(here + '.new', text.replace('1', '2'))\n"
    "    os.rename(here + '.new', here)",
    "a link": "edit(folder + '/other', text.replace('1', '2'))\n"
    "    os.remove(here); os.symlink('other', here)",
    "a file more": "edit(folder + '/late.py', 'A = 2')",
    "a folder more": "os.mkdir(folder + '/late')\n"
    "    edit(folder + '/late/__init__.py', '')",
    "a file less": "os.remove(here)",
    "all": "import shutil; shutil.rmtree(folder)",
}
EDITED = """
import os, sys
def edit(path, text):
    with open(path, "w") as out:
        out.write(text)
def f():
    import m
    here, folder = m.__file__, os.path.dirname(m.__file__)
    before = os.stat(here)
    with open(here) as stream:
        text = stream.read()
    os.chmod(here, 0o644)
    {}
    return m.f()
"""


def test_what_a_job_does_to_its_modules_is_not_what_the_next_one_finds():
    files = {"m.py": "def f():\n    return 1\n", "pkg/__init__.py": ""}
    look = "def f():\n    import m\n    try:\n        import late\n"
    look += "    except ImportError:\n        return m.f()\n"
    with zygote() as one, zygote() as two:
        two.cache = one.cache
        bundle = one.bundle(files)
        for name, edit in EDITS.items():
            forked = one.fork(bundle)
            assert forked.value(echo(EDITED.format(edit))) == 1
            forked.close()
            for running in (one, two):
                forked = running.fork(bundle)
                assert forked.value(echo(look)) == 1, name
                forked.close()
            assert os.listdir(one.cache / "bundles") == [bundle[0].hex()]


def test_a_damaged_blob_is_not_unpacked():
    """It is removed, so that the daemon fetches it anew before the next worker."""
    with zygote() as running:
        digest, path = running.bundle({"m.py": "def f():\n    return 1\n"})
        sound = pathlib.Path(path).read_bytes()
        pathlib.Path(path).write_bytes(sound.replace(b"1", b"2"))
        for why in (b"damaged", b"gone"):  # the daemon has not looked in between
            forked = running.fork([digest, path])
            forked.send_job(bundle_call(digest, "m:f"))
            said = forked.socket.recv(1000)
            assert said[:1] == b"L" and why in said
            assert not os.path.exists(path)
            forked.close()
        assert not (running.cache / "bundles" / digest.hex()).exists()
        pathlib.Path(path).write_bytes(sound)
        forked = running.fork([digest, path])
        assert forked.value(bundle_call(digest, "m:f")) == 1
        forked.close()


def test_a_fork_that_fails_lets_go_of_its_descriptors():
    with zygote() as running:
        before = running.descriptors()
        running.fork().close()
        until(lambda: running.descriptors() == before, "the end of the worker")
        # Room for what is sent, but not for a pipe.
        free = [fd for fd in range(100) if fd not in before]
        limits = (free[3], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limits)
        running.ask([1, 2])
        assert b"Too many open files" in running.control.recv(1000)
        until(lambda: running.descriptors() == before, "what was let go of")


def test_bundles_of_one_program_share_a_process():
    """Modules that are loaded stay; submodules that only a later bundle has are found,
    and another content needs another process."""
    m = "count = 0\ndef f():\n    global count\n    count += 1\n    return count\n"
    one = {"m.py": m, "pkg/__init__.py": "import m\n", "pkg/a.py": "f = None\n"}
    two = {**one, "pkg/b.py": "from pkg import m\nfrom pkg.a import f as a\nf = m.f\n"}
    edited = {**one, "m.py": m.replace("+= 1", "+= 2")}
    with zygote() as running:
        bundles = [running.bundle(files) for files in (one, two, edited)]
        forked = running.fork(bundles[0])
        assert forked.value(bundle_call(bundles[0][0], "pkg:m.f")) == 1
        forked.tell_set(bundles[1])
        assert forked.value(bundle_call(bundles[1][0], "pkg.b:f")) == 2
        assert forked.value(bundle_call(bundles[1][0], "m:f")) == 3
        script = "import os\ndef f():\n    return os.popen("
        script += "'python3 -c \"import pkg.b; print(1)\"').read()\n"
        assert forked.value(echo(script)) == "1\n"
        forked.tell_set(bundles[2])
        forked.send_job(bundle_call(bundles[2][0], "m:f"))
        said = forked.socket.recv(1000)
        assert said[:1] == b"L" and b"m.py" in said
        forked.send_job(bundle_call(bundles[2][0], "m:f"))  # which goes back
        forked.socket.send(b"Q")
        assert forked.wait_end() == 0
        forked.close()


def test_bundles_of_one_set_need_no_other_process():
    """The initializer may have brought an older state of a module than the function:
    another process would find the same."""
    m = "def f():\n    return {}\n"
    with zygote() as running:
        old, new = (running.bundle({"m.py": m.format(n)}) for n in (1, 2))
        setup = running.blob(packb({".setup": bundle_call(old[0], "m:f")}))
        forked = running.fork(old, new, setup)
        forked.send_job(bundle_call(new[0], "m:f"))
        assert [forked.socket.recv(9) for _ in range(2)] == [b"S\1", b"S\0"]
        outcome, _, _, body, _ = forked.result()
        assert (outcome, _envelope.decode_value(body)) == (1, 1)
        forked.close()


def test_bundles_that_cannot_be_used():
    with zygote() as running:
        unreadable = [bytes(32), f"{running.blob(b'a file')[1]}/in-a-file"]
        for bundle, code in (
            (running.blob(b"junk"), exceptions.ProtocolError.code),
            (running.blob(packb({"../x.py": b""})), exceptions.ProtocolError.code),
            (unreadable, exceptions.SystemFailure.code),
        ):
            forked = running.fork(bundle)
            for _ in range(2):
                failure = forked.failure(echo("def f(): return 1"))
                assert failure.code == code
                assert "cannot be unpacked" in failure.message
            forked.tell_set()
            assert forked.value(echo("def f(): return 1")) == 1
            forked.close()
        assert not (running.cache.parent / "x.py").exists()
        running.control.send(b"F" + b"\xc1")
        assert running.control.recv(INLINE)[:1] == b"E"
        forked = running.fork()
        assert forked.value(echo("def f(): return 1")) == 1
        forked.close()


# --- The end of the daemon ------------------------------------------------------------

DAEMON = """
import os, signal, sys
sys.path[:0] = [{tests!r}]
from worker_harness import *
running = Zygote({directory!r})
idle, busy, shell = running.fork(), running.fork(), running.fork()
busy.send_job(source_call("import time\\ndef f():\\n    while True: pass\\n", "f"))
shell.send_job(b"sleep 1000 & echo $!; sleep 1000", shell=True)
while b"\\n" not in shell.pending:
    shell.pending += shell.read_some()
pids = [running.process.pid, idle.pid, busy.pid, shell.pid, int(shell.pending)]
print(*pids, flush=True)
signal.pause()
"""


def test_nothing_outlives_the_daemon():
    with zygote() as running:
        text = DAEMON.format(
            tests=str(pathlib.Path(__file__).parent), directory=str(running.cache)
        )
        daemon = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)
        try:
            pids = [int(word) for word in daemon.stdout.readline().split()]
            assert len(pids) == 5 and all(map(is_alive, pids))
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        for pid in pids:
            until(lambda pid=pid: not is_alive(pid), f"the end of {pid}")
        for pid in pids:
            end_group(pid)  # they are zombies by now, and this process their parent


def test_zygote_ends_and_workers_go_on():
    with zygote() as running:
        forked = running.fork()
        running.control.shutdown(2)
        assert running.process.wait(DEADLINE) == 0
        assert forked.value(echo("def f(): return 1")) == 1
        forked.close()


def test_structures():
    assert struct.calcsize(">xIB16sIIH") == 32
    assert pickle.HIGHEST_PROTOCOL >= _envelope.PICKLE_PROTOCOL


if __name__ == "__main__":
    run_tests(globals())
