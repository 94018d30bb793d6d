# SPDX-License-Identifier: MIT
"""The keys of a cluster, made as an operator makes them: with understudy-ctl keygen."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .paths import BIN
from .processes import clean_environment


class Keys:
    """A cluster of its own in a folder: cluster.pub and NAME.key, NAME.cert."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._keygen("cluster", "test")
        self.make("broker", "the-broker")

    def _keygen(self, *args: str) -> None:
        subprocess.run(
            [BIN / "understudy-ctl", "keygen", "--dir", self.folder, *args],
            env=clean_environment(self.folder),
            check=True,
            capture_output=True,
        )

    def make(self, role: str, name: str, *rights: str) -> str:
        self._keygen(role, name, *rights)
        return name

    def redis_users(self) -> None:
        """Users for a Redis: redis.acl, redis-admin.auth and so on."""
        self._keygen("redis")

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.cert"

    def options(self, name: str) -> dict[str, Path]:
        """For a daemon."""
        return {
            "key": self.folder / f"{name}.key",
            "cluster": self.folder / "cluster.pub",
        }

    def env(self, name: str) -> dict[str, str]:
        """For a client."""
        return {
            "UNDERSTUDY_KEY": str(self.folder / f"{name}.key"),
            "UNDERSTUDY_CLUSTER": str(self.folder / "cluster.pub"),
        }
