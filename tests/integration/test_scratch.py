# SPDX-License-Identifier: MIT
"""What a job finds: a scratch directory, variables, files, what an initializer made."""

import os
from pathlib import Path

import pytest

from support import wait_for

LOOK = """
    import os
    import sys
    import tempfile

    from understudy.decorators import understudy


    @understudy(block=True)
    def look(name=None):
        found = os.listdir()
        if name:
            open(name, "w").close()
        return os.getcwd(), tempfile.gettempdir(), os.environ["TMPDIR"], found


    for name in ("a", "b", None):
        print(*look(name))
    """


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel=["default"], slots=1)
    return client()


def test_each_job_has_an_empty_directory(user):
    for line in user.script(LOOK).splitlines():
        place, *others = line.split()
        assert others == [place, place, "[]"]
        assert len(place) <= 60
    shell = user.ctl("submit", "--wait", "--shell", "ls -A; pwd; touch left").stdout
    assert shell.count("\n") == 1 and shell.strip() != place


def test_directories_go_with_worker_and_node(broker, node, client, directory):
    """Also where both are killed: the next node removes what is left."""
    broker()
    folder = directory / "tmp"
    folder.mkdir()
    env = {"TMPDIR": str(folder)}
    first = node(channel=["default"], slots=1, env=env)
    user = client()
    place = user.script(LOOK).split()[0]
    assert place.startswith(str(folder)) or len(str(folder)) > 38
    root = os.path.dirname(place)
    said = user.script("""
        import os, signal
        from understudy import Executor, exceptions


        def die():
            os.makedirs("a/b")
            open("a/b/file", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


        job = Executor("default").submit(die)
        print(type(job.exception(60)).__name__)
        """)
    assert said == "WorkerDied\n"
    wait_for(lambda: not list(Path(root).glob("*/*")), 20, "the end of its directory")
    first.kill()
    assert os.path.exists(root)
    second = node(channel=["default"], slots=1, env=env)
    wait_for(lambda: not os.path.exists(root), 20, "the end of what was left")
    other = os.path.dirname(user.script(LOOK).split()[0])
    second.stop()
    assert not os.path.exists(other)


def test_a_place_for_all_jobs(broker, node, client, directory):
    broker()
    node(channel=["default"], slots=1, directory=directory)
    user = client()
    user.write("only.txt", "")
    place, temporary, *_ = user.script(LOOK).splitlines()[-1].split()
    assert place == os.path.realpath(directory) != temporary


def test_keywords(user):
    user.write("here.csv", "1,2")
    said = user.script("""
        import os
        import time

        from understudy.decorators import understudy


        def init(value):
            global state
            print("setting up")
            time.sleep(0.5)
            state = [value]


        @understudy(initializer=init, initargs=(7,), timeout=0.3)
        def get():
            state.append(1)
            return state, os.getpid()


        result = get()
        (first, pid), log = result.get(60), result.log
        result = get()
        (second, again), more = result.get(60), result.log
        print(first, second, pid == again, log.split(), more)


        def fail():
            raise KeyError("cannot")


        for _ in range(2):
            print(repr(understudy(initializer=fail)(len)("").exception(60)))


        @understudy(env={"A": "1", "B": "x y"}, files=["here.csv"], block=True)
        def look():
            return os.environ["A"], os.environ["B"], open("here.csv").read()


        print(look())
        with open("here.csv", "w") as file:
            file.write("changed")
        print(look(), look(), sep="|")
        """)
    lines = said.splitlines()
    assert lines[0] == "[7, 1] [7, 1, 1] True ['setting', 'up'] "
    assert lines[1:3] == ["KeyError('cannot')"] * 2
    assert lines[3] == "('1', 'x y', '1,2')"
    assert lines[4] == "|".join(["('1', 'x y', 'changed')"] * 2)
    said = user.ctl(
        "submit", "--wait", "--cwd", "/usr", "--env", "A=b=c", "--shell", "pwd; echo $A"
    ).stdout
    assert said == "/usr\nb=c\n"


WRONG = {
    'env={"PYTHONPATH": "x"}': "before a job begins",
    'env={"LD_PRELOAD": "x"}': "before a job begins",
    'env={"a b": "x"}': "cannot be an environment variable",
    "env=1": "is not a mapping",
    'cwd="relative"': "is not an absolute path",
    'files="x"': "write ['x']",
    'files=["no-such-file"]': "is not a file",
    'files={"../x": b""}': "is not a name below",
    "initializer=1": "is not callable",
}


def test_what_cannot_be(user):
    said = user.script(f"""
        from understudy import exceptions
        from understudy.decorators import understudy

        for text in {list(WRONG)!r}:
            try:
                eval(f"understudy({{text}})")
            except exceptions.InvalidArgument as error:
                print(error)
        print(understudy(cwd="/no/such")(len)("").exception(60))
        """)
    lines = said.splitlines()
    for words, line in zip(WRONG.values(), lines):
        assert words in line
    assert len(lines) == len(WRONG) + 1
    assert "cwd='/no/such' is no place to work in" in lines[-1]
    for option, words in {
        ("--env", "LD_X=1"): "too late",
        ("--env", "A"): "cannot be",
        ("--cwd", "here"): "absolute",
        ("--file", "no-such-file"): "No such file",
        ("--file", "/tmp"): "is no file that can be read",
        ("--file", "../x=/etc/hostname"): "no name for a file",
        ("--file", "/etc/hostname", "--file", "hostname=/etc/passwd"): "two files",
    }.items():
        done = user.ctl("submit", *option, "--shell", "true", check=False)
        assert done.returncode == 64 and words in done.stderr


def test_files_and_programs_of_the_command_line(user):
    """Files come along, and each file that is submitted from is a program of its own:
    the same one is told by its content and folder."""
    path = user.write("words.txt", "some words")
    submit = ["submit", "--wait", "--file", str(path), "--file", f"in/b={path}"]
    said = user.ctl(*submit, "--shell", "ls -R; cat words.txt in/b").stdout
    assert "some wordssome words" in said and "./in:\nb\n" in said
    text = """
        import os

        def where():
            return os.getpid()
        """
    one, other = (str(user.write(f"{n}.py", text)) for n in ("one", "other"))
    pids = [
        user.ctl("submit", "--wait", f"{file}:where").stdout
        for file in (one, one, other, other, one)
    ]
    assert pids[0] == pids[1] == pids[4] and pids[2] == pids[3] != pids[0]
    user.write("one.py", text + "\n\n        # edited\n")
    assert user.ctl("submit", "--wait", f"{one}:where").stdout != pids[0]
