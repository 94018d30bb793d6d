# SPDX-License-Identifier: MIT
"""Machines made of network namespaces: each with its own address, joined by a bridge in
a namespace of its own, so that nothing of the real network is touched. Needs root."""

from __future__ import annotations

import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(args)}: {done.stderr}"


@dataclass
class Host:
    """.prefix put before a command runs it there."""

    name: str
    address: str
    namespace: str
    hidden: list[Path] = field(default_factory=list)

    @property
    def prefix(self) -> list[str]:
        argv = ["ip", "netns", "exec", self.namespace]
        if self.hidden:
            # ip netns exec has a mount namespace of its own: nobody else sees these.
            script = 'while [ "$1" != -- ]; do mount -t tmpfs none "$1"; shift; done'
            argv += ["sh", "-ec", f'{script}; shift; exec "$@"', "sh"]
            argv += [*map(str, self.hidden), "--"]
        return argv

    def hide(self, directory: Path) -> None:
        """Commands started here from now on find the directory empty."""
        self.hidden.append(directory)


class Hosts:
    """hosts.add("node-a") gives a Host with an address in 10.77.0.0/24."""

    def __init__(self) -> None:
        # Not of our pid: a run that was killed has left its names behind.
        self._tag = f"us{secrets.token_hex(4)}"
        self._switch = f"{self._tag}-switch"
        self._all: list[Host] = []
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")

    def add(self, name: str) -> Host:
        number = len(self._all) + 1
        host = Host(name, f"10.77.0.{number}", f"{self._tag}-{name}")
        _ip("netns", "add", host.namespace)
        self._all.append(host)
        port = f"port{number}"
        _ip(
            *("-n", self._switch, "link", "add", port, "type", "veth"),
            *("peer", "name", "eth0", "netns", host.namespace),
        )
        _ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
        _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
        _ip("-n", host.namespace, "link", "set", "lo", "up")
        return host

    def unplug(self, host: Host) -> None:
        """Its packets vanish, silently."""
        number = self._all.index(host) + 1
        _ip("-n", self._switch, "link", "set", f"port{number}", "nomaster")

    def plug(self, host: Host) -> None:
        number = self._all.index(host) + 1
        _ip("-n", self._switch, "link", "set", f"port{number}", "master", "bridge")

    def close(self) -> None:
        for host in self._all:
            _ip("netns", "del", host.namespace)
        _ip("netns", "del", self._switch)
