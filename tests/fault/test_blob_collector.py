# SPDX-License-Identifier: MIT
"""Blobs whose jobs are gone disappear from Redis; those that a job names stay."""

from support import wait_for

SUBMIT = """
    import sys

    from understudy import Executor


    def length(data):
        return len(data)


    channel, byte = sys.argv[1:]
    pool = Executor(channel)
    future = pool.submit(length, byte.encode() * 300000)
    if channel != "later":
        future.result(60)
    print(future.uuid)
"""


def blobs(server):
    return set(server("ZRANGE", "us:blobs", "0", "-1"))


def keys_of(server, digest):
    return server("KEYS", f"us:{{b:{digest.hex()}}}:*")


def test_blobs_of_jobs_that_are_gone(make_redis, broker, node, client):
    server = make_redis()
    broker(server)
    node(channel="calculator")
    user = client()
    kept = user.script(SUBMIT, "later", "k").strip()
    named = blobs(server)
    user.script(SUBMIT, "calculator", "g")
    (gone,) = blobs(server) - named
    assert keys_of(server, gone)
    user.ctl("purge", "--channel", "calculator", "--yes")
    # As if nobody had touched any of them for more than an hour.
    for digest in blobs(server):
        server("ZADD", "us:blobs", "1", digest)
    # Soon after its start: a broker may not live for longer than a minute.
    broker(server)
    wait_for(lambda: gone not in blobs(server), 30, "a round of the collector")
    wait_for(lambda: not keys_of(server, gone), 10)
    assert blobs(server) == named
    node(channel="later")
    wait_for(lambda: "SUCCEEDED" in user.ctl("show", kept).stdout, 20)
