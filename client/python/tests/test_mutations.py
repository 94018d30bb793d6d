# SPDX-License-Identifier: MIT
"""Damaged golden envelopes: each decoder gives a value or its own error."""

import json
import pathlib
import random

import pytest

from understudy import _envelope
from understudy._envelope import Failure
from understudy._msgpack import MsgpackError, unpackb
from understudy.exceptions import ProtocolError

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = json.loads((ROOT / "tests/unit/data/envelopes.json").read_text())
ROUNDS = 4000
# Bytes at which decoders turn: kinds and lengths of msgpack.
SHARP = bytes.fromhex(
    "007f8081909192a0a1bfc0c1c4c5c6c7cacbcccfd0d3d4d8d9dadcdddedfe0ff"
)
PICKLE = b"\x94"  # an array of four: not damaged, its bytes would be run


def seeds(*parts):
    found = [bytes.fromhex(entry["hex"]) for part in parts for entry in GOLDEN[part]]
    return [seed for seed in found if not seed.startswith(PICKLE)]


def damaged(chance, seed):
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(4)
        if how == 0:
            data[at : at + 1] = bytes([chance.choice(SHARP)])
        elif how == 1:
            del data[at : at + chance.randint(1, 8)]
        elif how == 2:
            data[at:at] = bytes([chance.choice(SHARP)]) * chance.choice((1, 1, 1, 60))
        else:
            data[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(data)


def plain(data):
    return _envelope.decode_value(data) if not data.startswith(PICKLE) else None


def call(data):
    code, _, end = _envelope.split_call(data)
    if not data[end:].startswith(PICKLE):
        _envelope.decode_args(data[end:])
    return code


@pytest.mark.parametrize(
    ("decode", "parts", "refusal"),
    [
        (unpackb, ("values", "calls", "failures", "bundles"), MsgpackError),
        (plain, ("values",), ProtocolError),
        (call, ("calls",), ProtocolError),
        (Failure.decode, ("failures",), ProtocolError),
        (_envelope.decode_bundle, ("bundles",), ProtocolError),
    ],
)
def test_damaged(decode, parts, refusal):
    chance = random.Random(1)
    found = seeds(*parts)
    outcomes = set()
    for _ in range(ROUNDS):
        data = damaged(chance, chance.choice(found))
        try:
            decode(data)
            outcomes.add("taken")
        except refusal:
            outcomes.add("refused")
    assert outcomes == {"taken", "refused"}
