# SPDX-License-Identifier: MIT
"""A job finds a clean process also where a node keeps its worker."""

import pytest


@pytest.fixture
def user(broker, node, client):
    broker()
    node(channel=["default"], slots=1)
    return client()


def test_one_worker_serves_and_is_clean(user):
    said = user.script("""
        import logging
        import os
        import sys
        import threading

        from understudy.decorators import understudy


        @understudy(block=True)
        def dirty():
            import os, resource, socket, sys
            sys.stdout = os.fdopen(sys.stdout.fileno(), "w", buffering=1)
            logging.getLogger("known").disabled = True
            os.umask(0)
            socket.setdefaulttimeout(1)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (99, hard))
            return os.getpid()


        @understudy(block=True)
        def clean():
            import resource, socket
            with open(os.devnull):
                print("printed")
            logging.getLogger("known").info("logged")
            mask = os.umask(0o22)
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return os.getpid(), mask, socket.getdefaulttimeout(), soft


        before = clean()
        print([dirty() == before[0] for _ in range(3)], clean() == before)
        """)
    assert said.splitlines() == [
        "printed",
        "logged",
        "printed",
        "logged",
        "[True, True, True] True",
    ]


def test_what_is_found_late_gives_the_queued_jobs_to_another_worker(user):
    said = user.script("""
        from understudy.decorators import understudy


        @understudy
        def lower():
            import os, resource, time
            hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
            resource.setrlimit(resource.RLIMIT_STACK, (1 << 23, 1 << 23))
            time.sleep(0.01)
            return os.getpid(), hard


        jobs = [lower() for _ in range(4)]
        values = [job.get(timeout=60) for job in jobs]
        print(len({pid for pid, _ in values}), len({hard for _, hard in values}))
        """)
    assert said == "4 1\n"
