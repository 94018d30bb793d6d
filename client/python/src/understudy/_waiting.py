# SPDX-License-Identifier: MIT
"""Why nobody takes a job, for whoever would wait for it in silence."""

from __future__ import annotations

import functools
import time
import warnings
from typing import Any, Dict, List, Optional, cast

from understudy import _msgpack
from understudy._client import Client, beside
from understudy.exceptions import UnderstudyError

PATIENCE = 2.0  # seconds that a job may be queued before somebody asks why
_AGAIN = 60.0  # seconds before a client asks again
_QUERY_SECONDS = 2.0
_NODES_ASKED = 10_000

Row = Dict[str, Any]


def tell(client: Client, job_id: bytes, name: str) -> None:
    """Warns where no node listens for a queued job, or none with its Python. Not often:
    other jobs of this client likely wait for the same."""
    now = time.monotonic()
    if now < client.ask_again_at:
        return
    client.ask_again_at = now + _AGAIN
    try:
        reason = _reason(client, job_id)
    except UnderstudyError:  # a broker that does not answer is another matter
        return
    if reason is not None:
        warnings.warn(f"{name} waits: {reason}", stacklevel=5)


def nobody(channel: str, python: Optional[str]) -> str:
    """python: the minor version that a job needs; None: any."""
    command = f"start one with: understudy-node --channel {channel}"
    if python is None:
        return f"no node listens on channel {channel!r}; {command}"
    return (
        f"no node that offers Python {python} listens on channel {channel!r}; "
        f"{command} --python PATH"
    )


def _reason(client: Client, job_id: bytes) -> Optional[str]:
    (job,) = _rows(client, "show", id=job_id) or [{}]
    channel, python = job.get("channel"), job.get("python")
    if job.get("state") != 1 or not isinstance(channel, str):  # QUEUED
        return None
    nodes = _rows(client, "nodes", limit=_NODES_ASKED)
    for node in nodes:
        offers = [version.rpartition(".")[0] for version in node.get("pythons", ())]
        listens = channel in node.get("channels", ()) and not node.get("draining")
        if listens and (not python or python in offers):
            return None
    return nobody(channel, python or None)


def _rows(client: Client, what: str, **more: Any) -> List[Row]:
    ask = functools.partial(client.core.query, what, timeout=_QUERY_SECONDS, **more)
    rows, _ = beside(ask)
    return [cast("Row", _msgpack.unpackb(row)) for row in rows]
