# SPDX-License-Identifier: MIT
"""Runs what the client would submit as a worker would: in another interpreter that has
none of the code."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parents[1] / "src")

RUN = """
import pickle, sys, traceback
sys.path.append(sys.argv[1])
startup = frozenset(sys.modules)
from understudy import _context
_context.in_worker = True
from understudy._envelope import encode_value
from understudy._worker.bundles import Cache, SearchPath
from understudy._worker.calls import Calls
from understudy._worker.failures import Failures

body, cache, blobs = pickle.load(sys.stdin.buffer)
path = SearchPath(startup)
places, held = Cache().unpack(cache, blobs)
path.add(places, held)
path.places = places
calls = Calls(path)
dumps, loads = None, None
try:
    target = calls.find(body)
    dumps, loads = target.dumps, target.check
    args, kwargs = calls.args(target, body)
    target.equip(args)
    answer = (0, encode_value(target.call(args, kwargs), target.dumps))
except BaseException as problem:
    from understudy._envelope import plain_pickle
    failures = Failures(sys.argv[1], path.relative)
    dumps, loads = dumps or plain_pickle, loads or pickle.loads
    answer = (-24, failures.of(problem, dumps, loads, False).encode())
sys.stderr.flush()
sys.stdout.buffer.write(pickle.dumps(answer))
"""


def run(job) -> None:
    """Ends the fake job with what came out of it."""
    with tempfile.TemporaryDirectory() as folder:
        blobs = []
        for blob in job.options["blobs"]:
            file = Path(folder, blob.digest.hex())
            file.write_bytes(blob.data)
            blobs.append([blob.digest, str(file)])
        done = subprocess.run(
            [sys.executable, "-I", "-c", RUN, SOURCE],
            input=pickle.dumps((job.submitted, f"{folder}/bundles", blobs)),
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    code, body = pickle.loads(done.stdout)
    job.log(done.stderr)
    job.end(6 if code else 5, code, body)


def value_of(result):
    run(result._job)
    return result.get(timeout=10)
