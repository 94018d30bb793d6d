# SPDX-License-Identifier: MIT
"""Whole calls, as any client may send them: the package sends them in parts.

Finds the package in the sources, for interpreters that have neither it nor pytest.
"""

from __future__ import annotations

import pathlib
import sys

SOURCES = pathlib.Path(__file__).resolve().parents[1] / "src"
if str(SOURCES) not in sys.path:
    sys.path.insert(0, str(SOURCES))

from understudy import _envelope  # noqa: E402
from understudy._msgpack import NotPlain, packb  # noqa: E402


def code_source(source, name):
    """A function of one file's text, which the package never sends."""
    return packb({"source": source, "function": name})


def encode_args(args, kwargs, dumps=_envelope.plain_pickle):
    try:
        return _envelope.encode_plain([list(args), dict(kwargs)])
    except NotPlain:
        return _envelope.encode_pickle(*dumps((tuple(args), dict(kwargs))))


def encode_call(code, args):
    return _envelope.call_head(code) + args
