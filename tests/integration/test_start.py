# SPDX-License-Identifier: MIT
"""Daemons that cannot start end with one line that says what and how to mend it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support import BIN, clean_environment, free_port, wait_for
from support.keys import Keys
from support.paths import REDIS_SERVER
from support.processes import StartError
from support.redis import Redis, RedisError


def refused(start, *words):
    with pytest.raises(StartError) as caught:
        start()
    lines = [line for line in caught.value.output.splitlines() if line.strip()]
    text = caught.value.output
    for word in words:
        assert word.lower() in text.lower(), text
    assert len(lines) <= 2, text
    return caught.value.code


def test_neither_redis_server_nor_valkey_server(broker):
    words = ("neither", "redis-server", "valkey-server")
    assert refused(lambda: broker(env={"PATH": "/nonexistent"}), *words) == 69


@pytest.fixture
def programs(directory):
    """All that the broker finds: a redis-server that is too old."""
    path = directory / "programs"
    path.mkdir()
    old = path / "redis-server"
    old.write_text("#!/bin/sh\necho Redis server v=6.0.16 sha=00000000:0\n")
    old.chmod(0o755)
    return path


def test_an_old_redis_server(programs, broker):
    env = {"PATH": str(programs)}
    assert refused(lambda: broker(env=env), "redis-server", "6", "7 or newer") == 69


def test_valkey_server_beside_an_old_redis_server(programs, broker, node, client):
    (programs / "valkey-server").symlink_to(shutil.which(REDIS_SERVER))
    broker(env={"PATH": str(programs)})
    node(channel="calculator")
    job = ["submit", "--channel", "calculator", "--wait", "--shell", "echo hi"]
    assert client().ctl(*job).stdout == "hi\n"


def test_redis_that_is_not_there(broker, directory):
    code = refused(lambda: broker(f"unix://{directory}/none.sock"), "none.sock")
    assert code == 69
    port = free_port()
    assert refused(lambda: broker(f"redis://127.0.0.1:{port}"), str(port)) == 69


def test_redis_with_another_password(broker, make_redis):
    server = make_redis(tcp=True)
    server("CONFIG", "SET", "requirepass", "secret")
    at = f"127.0.0.1:{server.port}"
    wrong = {"UNDERSTUDY_REDIS": f"redis://:wrong@{at}"}
    assert refused(lambda: broker(env=wrong, data=[]), "password") == 69
    broker(env={"UNDERSTUDY_REDIS": f"redis://:secret@{at}"}, data=[])


def test_the_password_of_redis_is_not_for_everybody_to_read(
    broker, node, client, make_redis, directory
):
    """A command line is; a file that is not closed is, too."""
    server = make_redis(tcp=True)
    server("ACL", "SETUSER", "us", "on", ">a b:c", "~us:*", "&us:*", "+@all")
    server("ACL", "SETUSER", "default", "off")
    url = f"redis://127.0.0.1:{server.port}"
    open_url = f"redis://us:a%20b%3Ac@127.0.0.1:{server.port}"
    assert refused(lambda: broker(open_url), "--redis-auth", "UNDERSTUDY_REDIS") == 78
    auth = directory / "auth"
    auth.write_text("us:a b:c\n")
    auth.chmod(0o644)
    assert refused(lambda: broker(url, redis_auth=auth), "others may read it") == 78
    auth.chmod(0o600)
    started = broker(url, redis_auth=auth)
    argv = Path(f"/proc/{started.pid}/cmdline").read_text()
    assert "a b" not in argv
    node(redis=url, redis_auth=auth)
    done = client(started).ctl("submit", "--wait", "--shell", "echo hi")
    assert done.stdout == "hi\n"
    done = client(started).ctl("--redis", open_url, "status", check=False)
    assert done.returncode == 64
    assert "can be read by every user" in done.stderr


def test_redis_with_the_users_of_keygen(broker, node, client, make_redis, directory):
    """A broker and its nodes get on with what they may, which is not much."""
    keys = Keys(directory / "keys")
    keys.redis_users()
    server = make_redis(tcp=True, aclfile=str(keys.folder / "redis.acl"))
    auth = {
        name: keys.folder / f"redis-{name}.auth" for name in ("broker", "node", "admin")
    }
    url = f"redis://127.0.0.1:{server.port}"
    options = {"redis_auth": auth["broker"], "data": directory / "data"}
    assert refused(lambda: broker(url, **options), "--load-functions") == 69
    load = [BIN / "understudy-broker", "--load-functions", "--redis", url]
    wrong = client().run([*load, "--redis-auth", auth["broker"]], check=False)
    assert wrong.returncode == 69
    assert "functions cannot be loaded into Redis" in wrong.stderr
    started = client().run([*load, "--redis-auth", auth["admin"]])
    assert "functions of this version are in Redis" in started.stderr
    first = broker(url, **options)
    node(redis=url, redis_auth=auth["node"])
    here = client(first)
    assert here.ctl("submit", "--wait", "--shell", "echo hi").stdout == "hi\n"
    told = here.ctl("--json", "doctor", check=False).stdout
    assert "nodes may subscribe" in told
    assert "user of Redis may not look" in told
    with Redis(server.socket, auth=auth["broker"]) as redis:
        assert redis("HLEN", "us:brokers") == 1
        for words in (
            "FLUSHALL",
            "CONFIG GET *",
            "FUNCTION FLUSH",
            "EVAL 1 0",
            "KEYS *",
        ):
            with pytest.raises(RedisError, match="NOPERM"):
                redis(*words.split())
        for words in ("GET other", "PUBLISH other x", "ACL LIST"):
            with pytest.raises(RedisError, match="NOPERM"):
                redis(*words.split())
    with Redis(server.socket, auth=auth["node"]) as redis:
        assert redis("HGETALL", "us:brokers")
        for words in ("GET us:cluster", "HDEL us:brokers x", "PUBLISH us:x:n:1 x"):
            with pytest.raises(RedisError, match="NOPERM"):
                redis(*words.split())
    with Redis(server.socket) as redis, pytest.raises(RedisError, match="NOAUTH"):
        redis("PING")
    # Nor is anything lost when the append-only file is read again, as the default user.
    job = here.ctl(
        "submit", "--channel", "later", "--shell", "echo kept"
    ).stdout.strip()
    server.kill()
    server.start()
    wait_for(lambda: here.ctl("show", job, check=False).returncode == 0)
    assert "QUEUED" in here.ctl("show", job).stdout


def test_the_private_redis_answers_its_broker_only(broker):
    """Nobody comes in without a password, which stands on no command line."""
    started = broker()
    data = started.output_path.parent / "data"
    with Redis(data / "redis.sock") as redis, pytest.raises(RedisError, match="NOAUTH"):
        redis("PING")
    for name in ("redis.acl", "redis-admin.auth"):
        assert (data / name).stat().st_mode & 0o777 == 0o600
    with Redis.of_broker(data) as redis:
        assert redis("ACL", "WHOAMI") == b"us-admin"
        password = (data / "redis-admin.auth").read_text().strip().partition(":")[2]
        assert password not in (data / "redis.acl").read_text()


def test_redis_that_evicts(broker, make_redis):
    server = make_redis(maxmemory_policy="allkeys-lru")
    assert refused(lambda: broker(server), "maxmemory-policy", "noeviction") == 69


def test_redis_that_only_reads(broker, make_redis):
    first = make_redis(tcp=True)
    second = make_redis()
    second("REPLICAOF", "127.0.0.1", first.port)
    assert refused(lambda: broker(second), "replica") == 69


def test_weak_durability_is_told(broker, make_redis):
    started = broker(make_redis(appendonly="no"))
    assert "warning" in started.output
    assert "appendonly" in started.output.lower() or "AOF" in started.output


def test_a_port_that_is_taken(broker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = refused(lambda: broker(bind=f"tcp://127.0.0.1:{port}"), str(port))
        assert code == 71


def test_a_data_directory_that_is_locked(broker, directory):
    first = broker(data=directory / "data")
    assert first.running
    assert refused(lambda: broker(data=directory / "data"), "data") == 73


def test_a_data_directory_that_is_not_writable(broker, directory):
    (directory / "file").write_text("")
    code = refused(lambda: broker(data=directory / "file" / "data"), "data")
    assert code == 73


def test_a_data_directory_that_others_may_enter(broker, directory):
    data = directory / "open"
    data.mkdir()
    data.chmod(0o755)
    assert refused(lambda: broker(data=data), "chmod 700") == 73
    assert list(data.iterdir()) == []
    data.chmod(0o700)
    assert broker(data=data).running


def needs_root():
    if os.geteuid() != 0:
        pytest.fail("other users need root: run the tests as root")


def test_a_data_directory_of_somebody_else(broker, directory):
    needs_root()
    data = directory / "theirs"
    data.mkdir(mode=0o700)
    os.chown(data, 65534, 65534)
    assert refused(lambda: broker(data=data), "belongs to user 65534") == 73
    os.chown(data, 0, 0)
    (data / "dump.rdb").write_text("")
    os.chown(data / "dump.rdb", 65534, 65534)
    assert refused(lambda: broker(data=data), "dump.rdb") == 73


@pytest.mark.parametrize("name", ["broker", "lock", "redis.log", "dump.rdb"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_data_directory_with_links(broker, directory, name, link):
    """Nothing outside is written through a link that somebody has put there."""
    victim = directory / "victim"
    victim.write_text("precious")
    data = directory / "data"
    data.mkdir(mode=0o700)
    link(victim, data / name)
    assert refused(lambda: broker(data=data), f"{name} in it is a link") == 73
    assert victim.read_text() == "precious"


def test_what_the_broker_writes_is_for_its_user_only(broker, directory):
    before = os.umask(0)
    try:
        assert broker(data=directory / "data").running
    finally:
        os.umask(before)
    places = [directory / "data", *(directory / "data").rglob("*")]
    assert len(places) > 3
    for place in places:
        assert place.stat().st_mode & 0o077 == 0 or place.is_socket(), place


def test_no_home_and_no_data_directory(directory):
    """A user without a home, as in a container: nothing goes to a shared directory."""
    stranger = ["unshare", "--user", "--map-user=54321"]
    done = subprocess.run(
        [*stranger, str(BIN / "understudy-broker"), "--bind", f"ipc://{directory}/s"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 78, done.stderr
    assert "--data" in done.stderr


def test_tcp_needs_keys_or_insecure(broker):
    for address in (
        "tcp://*:*",
        "tcp://0.0.0.0:*",
        "tcp://[::]:*",
        "tcp://127.0.0.1:*",
    ):
        code = refused(
            lambda address=address: broker(bind=address, insecure=False), "--insecure"
        )
        assert code == 78
    started = broker(bind="tcp://0.0.0.0:*", insecure=True)
    assert started.running


def test_a_deep_data_directory(broker, directory):
    """Paths of unix sockets end at 107 bytes; the data directory may be deeper."""
    deep = directory / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True, mode=0o700)
    assert broker(data=deep).running


def test_flag_then_variable_then_file(stage, directory):
    config = directory / "understudy.conf"
    port = free_port()
    config.write_text(
        f'broker\n    bind = "tcp://127.0.0.1:{port}"\n    lease = "7s"\n'
    )
    broker = stage.broker(
        env={"UNDERSTUDY_CONFIG": str(config)}, bind=[], insecure=True
    )
    assert broker.endpoint == f"tcp://127.0.0.1:{port}"
    broker.stop()
    other = free_port()
    env = {
        "UNDERSTUDY_CONFIG": str(config),
        "UNDERSTUDY_BIND": f"tcp://127.0.0.1:{other}",
    }
    broker = stage.broker(env=env, bind=[], insecure=True)
    assert broker.endpoint == f"tcp://127.0.0.1:{other}"
    broker.stop()
    broker = stage.broker(env=env, bind="tcp://127.0.0.1:*")
    assert broker.endpoint not in (
        f"tcp://127.0.0.1:{port}",
        f"tcp://127.0.0.1:{other}",
    )


@pytest.mark.parametrize(
    "program", ["understudy-broker", "understudy-node", "understudy-ctl"]
)
def test_help_and_version(program, directory):
    env = clean_environment(directory)
    for flag, word in (("--help", "Exit"), ("--version", "0.1.0")):
        done = subprocess.run(
            [BIN / program, flag], capture_output=True, text=True, env=env, check=True
        )
        assert word.lower() in done.stdout.lower()
    done = subprocess.run(
        [BIN / program, "--no-such-flag"],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 64
    assert "--help" in done.stderr


def test_a_node_without_a_python(stage):
    stage.broker()
    with pytest.raises(StartError) as caught:
        stage.node(python="/bin/true")
    assert "/bin/true" in caught.value.output
    assert caught.value.code == 69


@pytest.mark.core
def test_sigterm_drains(broker, node, client):
    first = broker()
    listening = node(channel="calculator")
    assert (
        "hi"
        in client()
        .ctl("submit", "--channel", "calculator", "--wait", "--shell", "echo hi")
        .stdout
    )
    assert listening.stop() == 0
    assert first.stop() == 0


def test_descriptors_do_not_grow(broker, node, client):
    served = broker()
    listening = node(channel="calculator")
    user = client()

    def burst():
        user.script("""
            from understudy import Executor

            with Executor("calculator") as pool:
                list(pool.map(abs, range(50)))
                pool.submit(lambda: __import__("os")._exit(1)).exception(60)
            """)

    burst()
    before = served.descriptors, listening.descriptors
    for _ in range(3):
        burst()
    # The last client goes, and the last worker comes, a moment after the burst.
    wait_for(lambda: served.descriptors <= before[0] + 2)
    wait_for(lambda: listening.descriptors <= before[1] + 2)


# --- unix sockets ---------------------------------------------------------------------


def test_a_unix_socket_is_its_brokers_alone(broker, directory):
    """A second bind would take it over without a word."""
    place = f"ipc://{directory}/sock"
    first = broker(bind=place, data=directory / "one")
    code = refused(lambda: broker(bind=place, data=directory / "two"), "another broker")
    assert code == 71
    assert first.endpoint == place
    assert first.running
    assert first.stop() == 0
    assert not list(directory.glob("sock*"))
    assert broker(bind=place, data=directory / "two").running


def test_a_unix_socket_after_kill_9(broker, directory):
    place = f"ipc://{directory}/sock"
    broker(bind=place, data=directory / "one").kill()
    assert broker(bind=place, data=directory / "two").running


def test_a_file_is_never_removed_for_a_socket(broker, directory):
    (directory / "sock").write_text("precious")
    assert refused(lambda: broker(bind=f"ipc://{directory}/sock"), "not a socket") == 71
    assert (directory / "sock").read_text() == "precious"


def test_a_socket_of_another_program_stays(broker, directory):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(directory / "sock"))
        other.listen()
        text = "another program"
        assert refused(lambda: broker(bind=f"ipc://{directory}/sock"), text) == 71


def test_a_long_path_of_a_unix_socket(stage, directory):
    deep = directory / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    started = stage.broker(bind=f"ipc://{deep}/sock")
    assert started.endpoint == f"ipc://{deep}/sock"
    done = subprocess.run(
        [BIN / "understudy-ctl", "--broker", started.endpoint, "status"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_another_user_is_not_heard(stage, directory):
    """The system says who connects; whatever the mode of the socket may be."""
    needs_root()
    with tempfile.TemporaryDirectory(dir="/tmp") as open_to_all:
        os.chmod(open_to_all, 0o755)
        started = stage.broker(bind=f"ipc://{open_to_all}/sock")
        os.chmod(f"{open_to_all}/sock", 0o777)
        with socket.socket(socket.AF_UNIX) as own:
            own.settimeout(10)
            own.connect(f"{open_to_all}/sock")
            assert own.recv(1) == b"\xff"  # ZMTP's greeting
        script = f"""if True:
            import os, socket
            os.setuid(54321)
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(10)
            peer.connect("{open_to_all}/sock")
            try:
                raise SystemExit(len(peer.recv(1)))
            except ConnectionResetError:
                pass
            """
        done = subprocess.run([sys.executable, "-c", script], timeout=60)
        assert done.returncode == 0
        os.chown(f"{open_to_all}/sock", 54321, 54321)
        asked = subprocess.run(
            [BIN / "understudy-ctl", "--broker", started.endpoint, "status"],
            capture_output=True,
            text=True,
        )
        assert asked.returncode != 0
        assert "belongs to another user" in asked.stderr


def test_without_addresses_all_meet_at_the_socket_of_the_user(stage, directory):
    """/run/user/UID/understudy, here by another name, is private and has no port."""
    env = {"XDG_RUNTIME_DIR": str(directory / "run")}
    (directory / "run").mkdir(mode=0o700)
    broker = stage.broker(env=env, bind=[], insecure=True)
    assert broker.endpoint == f"ipc://{directory}/run/understudy/broker.sock"
    assert broker.endpoints == [broker.endpoint]
    assert (directory / "run" / "understudy").stat().st_mode & 0o777 == 0o700
    ctl = subprocess.run(
        [BIN / "understudy-ctl", "status", "--json"],
        env=clean_environment(directory, **env),
        capture_output=True,
        text=True,
    )
    assert ctl.returncode == 0, ctl.stderr


def test_a_runtime_directory_that_others_may_enter_is_not_used(stage, directory):
    (directory / "run").mkdir()
    (directory / "run").chmod(0o755)
    env = {"XDG_RUNTIME_DIR": str(directory / "run")}
    broker = stage.broker(env=env, bind=[], insecure=True)
    assert f"/understudy/at-{socket.gethostname()}/broker.sock" in broker.endpoint or (
        broker.endpoint.startswith("ipc:///run/user/")
    )
    assert not list((directory / "run").iterdir())


def test_a_free_name_for_a_socket(stage, directory):
    first, second = stage.broker(bind="ipc://*"), stage.broker(bind="ipc://*")
    assert first.endpoint != second.endpoint
    assert first.endpoint.startswith("ipc:///")


def test_the_limit_of_descriptors_is_raised_to_the_hard_one(stage):
    broker = stage.broker(prefix=["prlimit", "--nofile=256:3000"])
    limits = Path(f"/proc/{broker.pid}/limits").read_text()
    assert limits.split("Max open files")[1].split()[:2] == ["3000", "3000"]
