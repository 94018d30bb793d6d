# SPDX-License-Identifier: MIT
"""The test support itself: what other tests trust in."""

import socket
import subprocess
import sys
import venv

import pytest

from support import clean_environment, free_port, wait_for
from support.processes import Process, StartError, leftovers


def test_wait_for_gives_the_value():
    values = iter([0, None, 7])
    assert wait_for(lambda: next(values)) == 7


def test_wait_for_says_what_it_waited_for():
    with pytest.raises(AssertionError, match="the moon"):
        wait_for(lambda: False, 0.01, "the moon")


def test_redis_keeps_its_data_over_kill_9(redis_server):
    redis_server("SET", "key", b"\x00\xff")
    redis_server("CONFIG", "SET", "appendfsync", "always")
    redis_server("SET", "other", "1")
    redis_server.kill()
    redis_server.start()
    assert redis_server("GET", "key") == b"\x00\xff"
    assert redis_server("MGET", "other", "none") == [b"1", None]


def test_redis_on_a_port(make_redis):
    server = make_redis(tcp=True, maxmemory_policy="allkeys-lru")
    assert server.url == f"redis://127.0.0.1:{server.port}"
    with server.connect() as redis:
        assert redis.info("memory", "maxmemory_policy") == "allkeys-lru"


def test_leftovers_sees_orphans(directory):
    before = leftovers(set())
    script = "import subprocess; subprocess.Popen(['sleep', '987'])"
    subprocess.run([sys.executable, "-c", script], check=True)
    left = wait_for(lambda: leftovers(set(before)))
    assert list(left.values()) == ["sleep 987"]
    subprocess.run(["kill", *map(str, left)], check=True)
    wait_for(lambda: not leftovers(set(before)))


def test_a_program_that_ends_early_is_told(directory):
    env = clean_environment(directory)
    with pytest.raises(StartError, match="no such luck") as caught:
        argv = ["sh", "-c", "echo no such luck >&2; exit 9"]
        Process("sh", argv, directory, env, ready_fd=True)
    assert caught.value.code == 9


def test_a_free_port_is_kept_for_who_asks_for_it(make_redis):
    port = free_port()
    assert port not in {free_port() for _ in range(8)}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.socket() as stranger, pytest.raises(OSError):
        stranger.bind(("127.0.0.1", port))
    assert make_redis(tcp=port).process.running


def test_wheel_index_serves_pip(wheel_index, directory):
    wheel_index.add("left-pad", "1.0")
    wheel_index.add("left-pad", "2.0")
    wheel_index.add("Right.Pad", "1.5", requires=["left-pad<2"])
    environment = directory / "venv"
    venv.create(environment, symlinks=True, with_pip=False)
    env = clean_environment(directory)
    pip = ["/usr/bin/python3", "-m", "pip", "--python", f"{environment}/bin/python"]
    pip += ["install", "-q", "--disable-pip-version-check", "--no-cache-dir"]
    pip += ["--index-url", wheel_index.url]
    subprocess.run([*pip, "right-pad"], env=env, check=True, capture_output=True)
    show = "import left_pad, right_pad; print(left_pad.VERSION, right_pad.VERSION)"
    python = environment / "bin" / "python"
    done = subprocess.run([python, "-c", show], env=env, capture_output=True, text=True)
    assert done.stdout == "1.0 1.5\n"
    failed = subprocess.run([*pip, "no-such"], env=env, capture_output=True, text=True)
    assert failed.returncode != 0
    assert "no-such" in failed.stderr


def test_hosts_reach_each_other(hosts, directory):
    one, two = hosts.add("one"), hosts.add("two")
    echo = "import socket; s = socket.create_server(('0.0.0.0', 7000))"
    echo += (
        "; print(flush=True); c = s.accept()[0]; c.sendall(c.getpeername()[0].encode())"
    )
    ask = f"import socket; s = socket.create_connection(('{one.address}', 7000))"
    ask += "; print(s.recv(99).decode())"
    argv = [*one.prefix, sys.executable, "-c", echo]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        server.stdout.readline()
        argv = [*two.prefix, sys.executable, "-c", ask]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == two.address


def test_hosts_hide_directories(hosts, directory):
    (directory / "secret").write_text("")
    host = hosts.add("blind")
    look = ["ls", str(directory)]
    assert subprocess.check_output([*host.prefix, *look]) == b"secret\n"
    host.hide(directory)
    assert subprocess.check_output([*host.prefix, *look]) == b""
    assert subprocess.check_output(look) == b"secret\n"
