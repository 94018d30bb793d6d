# SPDX-License-Identifier: MIT
"""Thousands of channels come in pages, each once, and a page costs what it shows."""

import json

CHANNELS = 2000

LOAD = f"""
    from understudy import Lead

    results = [Lead("c%04d" % n).shell("true") for n in range({CHANNELS})]
    print(sum(result.accepted(60) for result in results))
"""


def test_many_channels(redis_server, broker, client):
    broker(redis_server)
    user = client()
    assert int(user.script(LOAD)) == CHANNELS
    redis_server("CONFIG", "RESETSTAT")
    lines = user.ctl("--json", "channels").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["name"] for row in rows] == [f"c{n:04}" for n in range(CHANNELS)]
    assert {row["queued"] for row in rows} == {1}
    stats = redis_server("INFO", "commandstats").decode()
    looked = stats.split("cmdstat_hgetall:calls=")[1].split(",")[0]
    assert int(looked) < 2 * CHANNELS
