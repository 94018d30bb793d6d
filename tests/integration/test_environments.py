# SPDX-License-Identifier: MIT
"""Environments, with wheels built here and served on the loopback."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from support import PYTHON, UV, wait_for

# Without a package index scripts/setup cannot install uv; pip is always there.
BOTH = [pytest.param(False, id="pip")] + [pytest.param(True, id="uv")] * bool(UV)


@pytest.fixture
def cluster(broker, node, client, wheel_index):
    """A node that knows the index; with uv where asked for and there."""

    def make(uv=False, **options):
        broker()
        path = "/usr/bin:/bin"
        if uv:
            path = f"{UV.parent}:{path}"
        node(
            channel="calculator",
            index_url=wheel_index.url,
            env={"PATH": path},
            **options,
        )
        return client()

    return make


USE = """
    import sys

    from understudy import Executor, UnderstudyError


    def use():
        import leaf
        import stem

        return leaf.VERSION, stem.VERSION, sys.prefix


    pool = Executor("calculator", packages=sys.argv[1:])
    result = pool.submit(use)
    try:
        print(*result.result(120))
    except UnderstudyError as error:
        print(type(error).__name__)
        print(error)
    print("log:", repr(result.log))
"""


@pytest.mark.parametrize("uv", BOTH)
def test_packages_and_what_they_need(cluster, wheel_index, uv):
    wheel_index.add("leaf", "1.0")
    wheel_index.add("leaf", "2.0")
    wheel_index.add("stem", "1.5", requires=["leaf<2"])
    user = cluster(uv)
    first = user.script(USE, "stem")
    leaf, stem, prefix = first.splitlines()[0].split()
    assert (leaf, stem) == ("1.0", "1.5")
    assert "log: ''" in first
    asked = len(wheel_index.requests)
    # Another spelling is the same environment; nothing is asked for again.
    again = user.script(USE, "Stem ")
    assert again.splitlines()[0].split()[2] == prefix
    assert len(wheel_index.requests) == asked
    # Another set is another one.
    other = user.script(USE, "stem", "leaf==1.0")
    assert other.splitlines()[0].split()[2] != prefix


@pytest.mark.parametrize("uv", BOTH)
def test_a_job_that_changes_a_package_changes_no_other_environment(
    cluster, wheel_index, uv
):
    """Issue 6: files that uv links to its cache were the same in all environments."""
    for name in ("leaf", "stem", "twig"):
        wheel_index.add(name, "1.0")
    said = cluster(uv).script("""
        from understudy import Executor


        def look(change=False):
            import sysconfig
            from pathlib import Path

            folder = Path(sysconfig.get_paths()["purelib"])
            leaf = folder / "leaf.py"
            version = leaf.read_text().split()[2]
            if change:
                with leaf.open("r+") as file:
                    file.write("VERSION = 'bad'")
            files = [path for path in folder.rglob("*") if path.is_file()]
            return version, max(path.stat().st_nlink for path in files)


        def run(*packages, change=False):
            pool = Executor("calculator", packages=packages)
            print(*pool.submit(look, change).result(120))


        run("leaf", "stem")
        run("leaf", change=True)
        run("leaf", "stem")  # made before the change
        run("leaf", "twig")  # made after it
        run("leaf")
        """)
    assert said.splitlines() == ["'1.0' 1"] * 4 + ["'bad' 1"]


@pytest.mark.parametrize("uv", BOTH)
def test_a_build_that_fails_says_why(cluster, wheel_index, uv):
    wheel_index.add("leaf", "1.0")
    wheel_index.add("stem", "1.0", requires=["leaf>=2"])
    user = cluster(uv)
    said = user.script(USE, "there-is-no-such-package")
    assert said.startswith("EnvironmentBuildError")
    assert "there-is-no-such-package" in said
    said = user.script(USE, "stem", "leaf==1.0")
    assert said.startswith("EnvironmentBuildError")
    assert "leaf" in said
    ok = user.script("""
        from understudy import Lead

        print(Lead("calculator").shell("echo fine").get(timeout=30), end="")
        """)
    assert ok == "fine\n"


@pytest.mark.parametrize("uv", BOTH)
def test_an_environment_has_a_size_limit(cluster, wheel_index, uv, directory):
    """A wheel of a few hundred KiB that holds 300 MiB of zeros."""
    wheel_index.add("bomb", modules={"bomb/data.bin": "\0" * (300 << 20)})
    wheel_index.add("leaf", "1.0")
    user = cluster(uv, env_limit="100M")
    said = user.script(USE, "bomb")
    assert said.startswith("EnvironmentBuildError")
    assert "more than the 100 MiB that this node allows (--env-limit)" in said
    wheel_index.add("stem", "1.0")
    assert user.script(USE, "leaf", "stem").startswith("1.0 1.0")
    caches = directory.glob("n*/cache/envs")
    assert not [path for envs in caches for path in envs.rglob("data.bin")]


def test_a_long_build_output_is_cut_at_a_line(cluster, wheel_index):
    """pip names each of a hundred conflicts: far more than the message shows."""
    wheel_index.add("leaf", "1.0")
    for patch in range(100):
        wheel_index.add("stem", f"1.{patch}", requires=["leaf>=2"])
    user = cluster()
    name, reason, first, *rest = user.script(USE, "stem", "leaf==1.0").splitlines()
    assert name == "EnvironmentBuildError"
    assert "conflicting dependencies" in reason
    assert first.endswith("exit code 1")
    assert "left out" in rest[0] and "logs --build" in rest[0]
    uuid = user.ctl("jobs", "--json").stdout
    whole = user.ctl("logs", "--build", json.loads(uuid)["id"]).stdout.splitlines()
    assert rest[1] in whole


def test_a_bare_environment_has_nothing(cluster):
    user = cluster()
    said = user.script("""
        from understudy import Executor


        def look():
            import importlib.util

            return importlib.util.find_spec("pytest") is None


        print(Executor("calculator").submit(look).result(60))
        """)
    assert said == "True\n"


def test_build_output_is_a_stream_of_its_own(cluster, wheel_index):
    wheel_index.add("leaf", "1.0")
    wheel_index.add("stem", "1.0")
    user = cluster()
    said = user.script("""
        from understudy import Executor


        def job():
            print("from the job")


        result = Executor("calculator", packages=["leaf"]).submit(job)
        build = "".join(result.stream_log(build=True))
        print("leaf" in build, result.get(timeout=60), repr(result.log))
        print(result.uuid)
        """)
    first, uuid = said.splitlines()
    assert first == "True None 'from the job'"
    assert user.ctl("logs", uuid).stdout == "from the job\n"
    assert "leaf" in user.ctl("logs", "--build", uuid).stdout


def test_one_build_for_many_jobs(cluster, wheel_index):
    wheel_index.add("leaf", "1.0")
    wheel_index.add("stem", "1.0")
    user = cluster(slots=4)
    said = user.script("""
        from understudy import Executor

        with Executor("calculator", packages=["leaf"]) as pool:
            print(sum(pool.map(lambda n: __import__("leaf") and n, range(20))))
        """)
    assert said == "190\n"
    rows = [json.loads(line) for line in user.ctl("--json", "envs").stdout.splitlines()]
    assert len([row for row in rows if row["packages"] == ["leaf"]]) == 1
    assert len([p for p in wheel_index.requests if p.endswith(".whl")]) <= 2


def test_two_environments_do_not_mix(cluster, wheel_index):
    for version in ("1.0", "2.0"):
        wheel_index.add("leaf", version)
    user = cluster()
    said = user.script("""
        from understudy import Executor


        def version():
            import leaf

            return leaf.VERSION


        old = Executor("calculator", packages=["leaf==1.0"])
        new = Executor("calculator", packages=["leaf>=1"], constraints=["leaf>1"])
        results = [pool.submit(version) for pool in (old, new) * 3]
        print([r.result(120) for r in results])
        """)
    assert said == "['1.0', '2.0', '1.0', '2.0', '1.0', '2.0']\n"


def test_a_node_checks_requirements_itself(cluster):
    """A client that does not check: the node refuses all the same."""
    from integration.test_protocol import SUBMIT, Peer, new_id
    from understudy import _msgpack as msgpack

    user = cluster()
    peer = Peer(user.env["UNDERSTUDY_BROKER"], "client")
    spec = {"kind": "shell", "name": "x", "packages": ["--index-url=http://x/"]}
    job = {
        "id": new_id("calculator"),
        "channel": "calculator",
        "spec": msgpack.packb(spec),
    }
    try:
        peer.send(SUBMIT, [job], [b"echo should not run"])
        head, _ = peer.expect(21, 30)
        assert head["items"][0]["state"] == 6
        assert head["items"][0]["code"] == -16
    finally:
        peer.close()


def test_the_cache_outlives_the_node(stage, wheel_index):
    wheel_index.add("leaf", "1.0")
    wheel_index.add("stem", "1.0")
    stage.broker()
    cache = stage.folder("cache")
    prefixes, asked = [], []
    for _ in range(2):
        node = stage.node(channel="calculator", index_url=wheel_index.url, cache=cache)
        prefixes.append(stage.client().script(USE, "leaf", "stem").split()[2])
        asked.append(len(wheel_index.requests))
        node.stop()
    assert prefixes[0] == prefixes[1]
    assert 0 < asked[0] == asked[1]


def entries(folder):
    return {path.name for path in folder.glob("*")}


def test_unpacked_code_goes_with_its_blob(stage):
    """A second daemon on the same cache, over its limit, removes what nobody uses: not
    the code of a job that runs and has not imported all of it yet."""
    stage.broker()
    cache = stage.folder("cache")
    stage.node(channel="calculator", cache=cache)
    user = stage.client()
    user.write("late.py", "def name():\n    return __name__\n")
    user.write(
        "jobs.py",
        """
        def run(go):
            with open(go) as stream:
                stream.read()
            import late
            return late.name()
        """,
    )
    user.write("only.py", "def run():\n    return 'only'\n")
    go = user.directory / "go"
    os.mkfifo(go)
    again = """
        import only
        from understudy import Executor

        print(Executor("calculator").submit(only.run).result(30))
        """
    assert user.script(again) == "only\n"
    unused = entries(cache / "bundles")
    assert len(unused) == 1
    busy = user.start(
        "busy",
        [
            PYTHON,
            "-c",
            "import jobs\nfrom understudy import Executor\n"
            f"print(Executor('calculator').submit(jobs.run, {str(go)!r}).result(60))",
        ],
    )
    wait_for(lambda: len(entries(cache / "bundles")) == 2, 30, "the second bundle")
    wait_for(lambda: json.loads(user.ctl("--json", "status").stdout)["running"] == 1)
    (first,) = unused  # a kept worker still has it
    for pid in holders(cache / "bundles" / first):
        os.kill(pid, signal.SIGKILL)
    tidy = stage.node(channel="tidy", cache=cache, cache_limit=1)
    wait_for(lambda: entries(cache / "bundles") & unused == set(), 30, "the removal")
    assert len(entries(cache / "bundles")) == 1
    assert entries(cache / "blobs") == set()
    go.write_text("go\n")
    assert busy.wait(30) == 0
    assert busy.output == "late\n"
    tidy.stop()
    assert user.script(again) == "only\n"


def holders(folder):
    """The processes that have it open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(folder):
                yield int(link.parts[2])


def test_damaged_code_is_fetched_anew(stage):
    """A bundle's blob and its unpacked files are damaged on the node: the next worker
    does not believe them, and the daemon asks the broker for the blob again."""
    stage.broker()
    cache = stage.folder("cache")
    stage.node(channel="calculator", cache=cache)
    user = stage.client()
    user.write("only.py", "def run():\n    return 'only'\n")
    script = """
        import only
        from understudy import Executor

        print(Executor("calculator").submit(only.run).result(30))
        """
    assert user.script(script) == "only\n"
    (name,) = entries(cache / "bundles")
    for path in (cache / "blobs" / name, cache / "bundles" / name / "only.py"):
        path.write_bytes(path.read_bytes().replace(b"'only'", b"'ylno'"))
    for pid in holders(cache / "bundles" / name):
        os.kill(pid, signal.SIGKILL)
    assert user.script(script) == "only\n"
    assert hashlib.sha256((cache / "blobs" / name).read_bytes()).hexdigest() == name


@pytest.mark.parametrize("anew", [False, True], ids=["same-node", "next-node"])
def test_damaged_arguments_are_fetched_anew(stage, anew):
    """What joblib's and uv's users met: a part of a cached file is wrong, or missing. A
    job got the wrong bytes as its argument, and said so if it looked."""
    stage.broker()
    cache = stage.folder("cache")
    node = stage.node(channel="calculator", cache=cache)
    user = stage.client()
    script = """
        from understudy import Executor


        def is_whole(data):
            return data == bytes(range(256)) * 24000


        data = bytes(range(256)) * 24000
        print(Executor("calculator").submit(is_whole, data).result(30))
        """
    assert user.script(script) == "True\n"
    path = max(cache.glob("blobs/*"), key=lambda file: file.stat().st_size)
    whole = path.read_bytes()
    for damaged in (whole[:3000000] + b"-" + whole[3000001:], whole[:9], b""):
        if anew:
            node.stop()
        path.write_bytes(damaged)
        if anew:
            node = stage.node(channel="calculator", cache=cache)
        assert user.script(script) == "True\n"
        assert path.read_bytes() == whole
        assert "blob.damaged" in node.output


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_no_file_where_a_blob_was(stage, make):
    """The node and its zygote opened what a job had put there: a FIFO for ever."""
    stage.broker()
    cache = stage.folder("cache")
    stage.node(channel="calculator", cache=cache)
    user = stage.client()
    user.write("only.py", "def run():\n    return 'only'\n")
    script = """
        import only
        from understudy import Executor

        print(Executor("calculator").submit(only.run).result(30))
        """
    assert user.script(script) == "only\n"
    (name,) = entries(cache / "bundles")
    for path in (cache / "blobs" / name, cache / "bundles" / name / "only.py"):
        path.unlink()
        make(path)
    for pid in holders(cache / "bundles" / name):
        os.kill(pid, signal.SIGKILL)
    assert user.script(script, timeout=40) == "only\n"


def test_the_cache_is_emptied_while_the_node_runs(stage, wheel_index):
    """Somebody makes room, or a service that removes what is old: the node makes again
    what the next jobs need."""
    wheel_index.add("leaf")
    wheel_index.add("stem")
    stage.broker()
    cache = stage.folder("cache")
    stage.node(channel="calculator", cache=cache, index_url=wheel_index.url)
    user = stage.client()
    user.write("only.py", "def size(data):\n    return len(data)\n")
    script = """
        import sys

        import only
        from understudy import Executor

        data = bytes(int(sys.argv[1]))
        print(Executor("calculator").submit(only.size, data).result(60))
        """
    assert user.script(script, "2000000") == "2000000\n"
    assert user.script(USE, "leaf", "stem").startswith("1.0 1.0")
    for path in cache.iterdir():
        shutil.rmtree(path)
    assert user.script(script, "2000001") == "2000001\n"
    assert user.script(USE, "leaf", "stem").startswith("1.0 1.0")
    user.write("only.py", "def size(data):\n    return -len(data)\n")
    assert user.script(script, "2000002") == "-2000002\n"


def test_a_killed_build_is_never_used(stage, wheel_index):
    """The node dies at random moments of a build; the next one builds it whole."""
    wheel_index.add("leaf", "1.0")
    wheel_index.add("stem", "1.0")
    stage.broker()
    cache = stage.folder("cache")
    user = stage.client()
    path = user.write("use.py", USE)
    for moment in ("build.start", "envs/"):
        node = stage.node(channel="calculator", index_url=wheel_index.url, cache=cache)
        running = user.start("use", [PYTHON, path, "leaf", "stem"])
        wait_for(
            lambda: any(cache.glob("envs/*")) or moment in node.output, 30, "a build"
        )
        node.kill()
        running.kill()
    stage.node(channel="calculator", index_url=wheel_index.url, cache=cache)
    assert user.script(USE, "leaf", "stem").startswith("1.0 1.0")
