# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzz targets into FOLDER/TARGET: the golden data of
tests/unit/data, and a few texts where there are none.

    seeds.py FOLDER
"""

import json
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "unit/data"
TOKEN = b"0123456789abcdef"

REQUIREMENTS = [
    "pytz",
    "Flask_Login [async, dotenv] >= 2.0, != 2.1.*, < 3",
    "a==1!2.0rc1.post2.dev3+local.1",
    "b~=1.4.2; python_version < '3.12' and (os_name == \"posix\" or extra == 'x')",
    "c (>=1)",
    "-r requirements.txt",
    "d @ https://example.org/d.whl",
]
URLS = [
    "redis://",
    "redis://user:p%40ss%2F@host:6379/3",
    "redis://[::1]:7/2",
    "unix:///run/redis.sock?db=2&username=u&password=a%26b",
]
CONFIGS = [
    "slots = 4\nnode\n    broker = tcp://a:1, tcp://b:2\n    wait = 500ms\n",
    'node  # ours\n    cache-limit = "10G"\n    insecure\nbroker\n    data = /x\n',
    "node\n    slots = 'many\n",
]

# The body of a certificate: name, keys and rights.
CERTIFICATE = (
    "de0012a46e616d65a5616c696365a567726f7570a57374616666a4726f6c65a6636c69656e74"
    "a97472616e73706f7274c4200000000000000000000000000000000000000000000000000000"
    "000000000000a77369676e696e67c42000000000000000000000000000000000000000000000"
    "00000000000000000000a77365616c696e67c420000000000000000000000000000000000000"
    "0000000000000000000000000000a46d61646501a76578706972657300a86368616e6e656c73"
    "92a563616c632aa764656661756c74a87061636b6167657391a12aa57368656c6cc3a86d6178"
    "5f73697a6500a47261746505a671756575656400a3736565a36f776ea472656164a36f776ea6"
    "63616e63656ca36f776ea57265747279a36f776e"
)


def lines(name):
    """The values of a file of "NAME HEX" lines."""
    for line in (DATA / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield bytes.fromhex(line.partition(" ")[2])


def envelopes(*parts):
    golden = json.loads((DATA / "envelopes.json").read_text())
    return [bytes.fromhex(entry["hex"]) for part in parts for entry in golden[part]]


# None with a good certificate: what a cluster has to sign no fuzzer finds either.
KEYFILES = [
    f"understudy cluster\n# here\nkey {'A' * 43}\nname here\nbroker AAAA\n",
    f"understudy cluster key\nseed {'01' * 32}\nname here\n",
    f"understudy key\nseed {'01' * 32}\ncertificate AAAA\n",
    "understudy certificate\n# alice\ncertificate AAAA\n",
]


def texts(seeds):
    return [seed.encode() for seed in seeds]


def seeds():
    messages = [*lines("messages.txt"), *lines("messages_corrupt.txt")]
    every = ("values", "pickled", "calls", "failures", "bundles", "corrupt")
    logs = [
        b"\x10one\n" + TOKEN + b"\0\0\0\1two\n" + TOKEN + TOKEN[:7],
        b"\x02" + TOKEN,
    ]
    return {
        "certificate": [bytes.fromhex(CERTIFICATE)],
        "config": texts(CONFIGS),
        "keyfile": texts(KEYFILES),
        "message": messages,
        "pack": [frame[2:] for frame in messages] + envelopes(*every),
        "record": [*lines("records.txt"), *lines("records_corrupt.txt")],
        "requirement": texts(REQUIREMENTS),
        "revocation": [b"\x92\x01\xc4\x20" + bytes(32), b"\x92\x02\xc4\x00"],
        "url": texts(URLS),
        "value": envelopes(*every),
        "worker": envelopes("failures") + logs,
    }


def main(folder):
    for target, values in seeds().items():
        place = folder / target
        place.mkdir(parents=True)
        for i, value in enumerate(values):
            (place / f"{i:03}").write_bytes(value)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
