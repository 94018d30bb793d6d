# SPDX-License-Identifier: MIT
"""What a job waits for: asked for by Result.why(), and told to whoever would wait for a
job in silence. The broker says it (docs/protocol.md, `why`), but for a job that it does
not have yet."""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from typing import Any, Dict, List, Optional, Protocol, cast

from understudy import _msgpack
from understudy._client import Client, beside
from understudy.exceptions import UnderstudyError, WaitTimeout

PATIENCE = 1.0  # seconds that somebody waits before being told why
_PAUSES = (2.0, 4.0, 8.0, 15.0, 30.0)  # then it is looked at again
_AGAIN = 60.0  # seconds before the same is said for another job of this client
_QUERY_SECONDS = 2.0
_SILENT = ("soon", "running", "ended")  # what is not worth a word

Row = Dict[str, Any]
_log = logging.getLogger("understudy")


class Waited(Protocol):
    """A Result, as far as this page knows it."""

    _name: str
    _client: Client

    def _reason(self) -> Row: ...


class Notice:
    """While somebody waits: says on stderr, and to the logger `understudy`, what for,
    and again when that changes. UNDERSTUDY_QUIET=1 turns it off."""

    def __init__(self, result: Waited) -> None:
        self._result = result
        self._quiet = os.environ.get("UNDERSTUDY_QUIET", "") not in ("", "0")
        self._said: Optional[str] = None
        self._looks = 0

    def look(self) -> float:
        """Says what there is to say; after how many seconds to look again."""
        pause = _PAUSES[min(self._looks, len(_PAUSES) - 1)]
        self._looks += 1
        if self._quiet:
            return _PAUSES[-1]
        try:
            row = self._result._reason()
        except UnderstudyError:  # a broker that does not answer is another matter
            return pause
        why = str(row.get("why", ""))
        if why != self._said and why not in _SILENT:
            self._say(f"{self._result._name} waits: {row.get('text')}")
        self._said = why
        return pause

    def _say(self, line: str) -> None:
        """Not for each of many jobs that wait for the same."""
        told, now = self._result._client.told, time.monotonic()
        words = line.partition(" waits: ")[2]
        if self._said is None and now < told.get(words, 0.0):
            return
        for old in [text for text, until in told.items() if until <= now]:
            del told[old]
        told[words] = now + _AGAIN
        _log.info(line)
        if sys.stderr is not None:
            print(f"understudy: {line}", file=sys.stderr, flush=True)


def ask(client: Client, job_id: bytes, timeout: float = _QUERY_SECONDS) -> Row:
    """Raises what the broker answers, or that it does not."""
    (row,) = _rows(client, "why", timeout, id=job_id) or [{}]
    return row


def trouble(client: Client) -> str:
    """Why a job may not have been accepted yet."""
    try:
        _rows(client, "status", _QUERY_SECONDS)
    except WaitTimeout:
        return "the broker does not answer"
    except UnderstudyError as error:  # no broker, or one without its store
        return str(error)
    return "the broker has not answered yet"


def nobody(channel: str, python: Optional[str]) -> str:
    """python: the minor version that a job needs; None: any."""
    command = f"start one with: understudy-node --channel {channel}"
    if python is None:
        return f"no node listens on channel {channel!r}; {command}"
    return (
        f"no node that offers Python {python} listens on channel {channel!r}; "
        f"{command} --python PATH"
    )


def _rows(client: Client, what: str, timeout: float, **more: Any) -> List[Row]:
    query = functools.partial(client.core.query, what, timeout=timeout, **more)
    rows, _ = beside(query)
    return [cast("Row", _msgpack.unpackb(row)) for row in rows]
