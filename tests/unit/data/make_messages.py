# SPDX-License-Identifier: MIT
"""Makes the frames of messages.txt anew from the JSON above each: see README.md."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "client/python/src"))

from understudy._msgpack import packb  # noqa: E402

FILE = Path(__file__).with_name("messages.txt")
IN_HEX = {"id", "retry_of", "spec", "blob", "blobs", "prefix"}
VERSION = 1
# docs/protocol.md section 4
TYPES = {
    1: "HELLO WELCOME PING PONG BYE ERROR",
    16: "SUBMIT SUBMITTED WATCH UNWATCH STATE ENDED LOGGED CANCEL CANCELLED QUERY"
    " ANSWER",
    32: "BLOB_FIND BLOB_FOUND BLOB_PUT BLOB_KEPT BLOB_GET BLOB_DATA",
    48: "CREDIT JOBS STARTED RESULT COMMITTED LOG LOG_KEPT RENEW RENEWED HAND_BACK STOP"
    " WAKE RELAY DRAIN STATUS",
}
NUMBERS = {
    name: first + i
    for first, names in TYPES.items()
    for i, name in enumerate(names.split())
}


def binary(name, value):
    if isinstance(value, list):
        return [binary(name, item) for item in value]
    if isinstance(value, dict):
        return {key: binary(key, item) for key, item in value.items()}
    return bytes.fromhex(value) if name in IN_HEX else value


def remade(text):
    head = None
    for line in text.splitlines():
        if line.startswith("# {"):
            head = json.loads(line[2:])
        elif line and not line.startswith("#"):
            name = line.split()[0]
            frame = bytes([VERSION, NUMBERS[name]]) + packb(binary("", head))
            line = f"{name} {frame.hex()}"
        yield line + "\n"


if __name__ == "__main__":
    FILE.write_text("".join(remade(FILE.read_text())))
