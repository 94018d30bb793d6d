# SPDX-License-Identifier: MIT
"""The scratch directory: private, empty for each job, gone with the worker."""

import os
import signal

from worker_harness import SUCCEEDED, echo, is_idle, run_tests, until, worker, zygote

LOOK = """
import os, tempfile
def f():
    return [os.getcwd(), os.environ["TMPDIR"], tempfile.gettempdir(), os.listdir()]
"""

# What a job does to its directory; the next one finds it as it was.
DEEDS = """
open("file", "w").close()
os.makedirs("a/b/c"); open("a/b/file", "w").close()
os.makedirs("a/b"); open("a/b/file", "w").close(); os.chmod("a/b", 0); os.chmod("a", 0)
os.symlink("/", "root"); os.symlink("nowhere", "link"); os.mkfifo("fifo")
os.chmod(".", 0)
os.makedirs(".hidden"); os.chdir("/")
import tempfile; tempfile.mkdtemp()
import socket; s = socket.socket(socket.AF_UNIX); s.bind("x" * 40)
import subprocess; subprocess.check_call("echo 1 > file; mkdir -p a b", shell=True)
"""


def test_each_job_finds_it_empty():
    with worker() as (forked, _):
        before = forked.value(echo(LOOK))
        place = before[0]
        assert before == [place, place, place, []]
        assert os.stat(place).st_mode & 0o777 == 0o700
        for deed in DEEDS.strip().split("\n"):
            outcome, flags, _, _, _ = forked.run(echo(f"import os\ndef f():\n  {deed}"))
            assert (outcome, flags) == (SUCCEEDED, 0), deed
            assert forked.value(echo(LOOK)) == before, deed


def test_shell_commands_are_in_it():
    with worker() as (forked, _):
        place = forked.value(echo(LOOK))[0]
        for _ in range(2):
            said = forked.value(b"ls -A; pwd; touch a; echo $TMPDIR", shell=True)
            assert said == f"{place}\n{place}\n"


def test_two_workers_have_two_and_each_goes_with_its_worker():
    with zygote() as running:
        one, two = running.fork(), running.fork()
        places = [forked.value(echo(LOOK))[0] for forked in (one, two)]
        assert places[0] != places[1]
        one.socket.send(b"Q")
        assert one.wait_end() == 0
        two.run(echo("import os\ndef f():\n  os.makedirs('a/b')\n  os.chmod('a', 0)"))
        two.send_job(echo("def f():\n  open('x', 'w').close()\n  while 1: pass"))
        until(lambda: os.path.exists(f"{places[1]}/x"), "a file")
        os.kill(two.pid, signal.SIGKILL)
        two.wait_end()
        until(lambda: os.listdir(running.scratch) == [], "the end of both directories")
        one.close()
        two.close()


def test_a_job_that_takes_it_away_ends_the_worker():
    with worker() as (forked, _):
        forked.run(echo("import os\ndef f():\n    os.rmdir(os.getcwd())"))
        said = forked.socket.recv(1000)
        assert said[:1] == b"L" and b"scratch" in said


def test_a_program_may_have_a_place_of_its_own():
    with zygote() as running:
        place = str(running.cache)
        forked = running.fork(cwd=place, env=["WHO=me", "EMPTY=", "A=b=c"])
        source = "import os\ndef f():\n    e = os.environ\n    os.chdir('/')\n"
        source += "    found = [e['WHO'], e['EMPTY'], e['A']]\n"
        source += "    e.clear()\n    return found\n"
        for _ in range(2):
            assert forked.value(echo(LOOK))[0] == place
            assert forked.value(echo(source)) == ["me", "", "b=c"]
            until(lambda: is_idle(forked.pid), "the comparisons that are slow")
        forked.close()
        forked = running.fork(cwd="/no/such/place")
        for _ in range(2):
            failure = forked.failure(echo(LOOK))
            assert "cwd='/no/such/place'" in failure.message
        forked.close()


if __name__ == "__main__":
    run_tests(globals())
