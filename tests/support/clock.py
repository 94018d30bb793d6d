# SPDX-License-Identifier: MIT
"""A wall clock that steps while processes run; their monotonic clock goes on."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("step_clock.c")


class SteppedClock:
    """.env of a process, or .prefix before a command, puts it and its children under
    this clock."""

    def __init__(self, directory: Path) -> None:
        self._library = directory / "step_clock.so"
        self._file = directory / "step_clock"
        self._off = 0
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", self._library, _SOURCE]
        subprocess.run(command, check=True)
        self.step(0)

    @property
    def env(self) -> dict[str, str]:
        # Preloaded, it comes before the runtime of a sanitizer, which would complain.
        asan = f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"
        return {
            "LD_PRELOAD": str(self._library),
            "STEP_CLOCK": str(self._file),
            "ASAN_OPTIONS": asan,
        }

    @property
    def prefix(self) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.env.items())]

    def step(self, seconds: int) -> None:
        """From now on it goes wrong by so much more."""
        self._off += seconds
        fd = os.open(self._file, os.O_WRONLY | os.O_CREAT)
        os.pwrite(fd, struct.pack("=q", self._off), 0)
        os.close(fd)
