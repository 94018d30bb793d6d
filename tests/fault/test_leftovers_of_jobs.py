# SPDX-License-Identifier: MIT
"""What a job does to its worker is not felt by the next one."""

import pytest

CALL = """
    import sys

    from understudy import Executor


    def spoil():
        import os
        import sys

        {spoil}
        return os.getpid()


    def look():
        import json.tool
        import wave

        return json.tool.__name__ + wave.__name__


    with Executor("calculator") as pool:
        pool.submit(spoil).result(30)
        print([pool.submit(look).result(30) for _ in range(4)])
"""


@pytest.mark.parametrize(
    "spoil",
    ["sys.path.clear()", "sys.path = []", "sys.modules.clear()"],
)
def test_modules_that_a_job_has_removed(broker, node, client, spoil):
    broker()
    node(channel="calculator", slots=1)
    said = client().script(CALL.format(spoil=spoil))
    assert said.strip() == str(["json.toolwave"] * 4)
