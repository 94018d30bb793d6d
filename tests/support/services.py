# SPDX-License-Identifier: MIT
"""Broker, node and client as the processes that users run."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from .paths import BIN, PACKAGE, PATIENCE, PYTHON
from .processes import Process, clean_environment

Option = Union[str, int, float, Path, bool, Sequence[Any]]


def options_to_argv(options: Mapping[str, Option]) -> list[str]:
    """keep_jobs=5 is --keep-jobs 5; lists repeat; True is a switch, False nothing."""
    argv: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            argv += [flag] if value else []
        elif isinstance(value, (str, int, float, Path)):
            argv += [flag, str(value)]
        else:
            for item in value:
                argv += [flag, str(item)]
    return argv


class Service(Process):
    """One of our daemons, ready."""

    program = ""

    def __init__(
        self,
        directory: Path,
        options: Mapping[str, Option],
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str | Path] = (),
    ) -> None:
        argv = [*prefix, BIN / self.program, *options_to_argv(options)]
        environment = clean_environment(directory, **(env or {}))
        super().__init__(self.program, argv, directory, environment, ready_fd=True)


class Broker(Service):
    """understudy-broker; .endpoint is the first address it listens on."""

    program = "understudy-broker"

    @property
    def endpoints(self) -> list[str]:
        return self.ready_line.replace(",", " ").split()

    @property
    def endpoint(self) -> str:
        return self.endpoints[0]


class Node(Service):
    """understudy-node, connected to a broker."""

    program = "understudy-node"

    @property
    def cache(self) -> Path:
        return self.output_path.parent / "cache"


class Client:
    """Runs Python programs and understudy-ctl as a user of one broker would."""

    def __init__(
        self,
        directory: Path,
        endpoint: str | None,
        prefix: Sequence[str | Path] = (),
        started: Callable[[Process], None] = lambda process: None,
    ) -> None:
        self._started = started
        self.directory = directory
        self.prefix = list(prefix)
        self.env = clean_environment(
            directory,
            PYTHONPATH=str(PACKAGE),
            PYTHONDONTWRITEBYTECODE="1",
            UNDERSTUDY_BIN_DIR=str(BIN),
        )
        if endpoint:
            self.env["UNDERSTUDY_BROKER"] = endpoint

    def write(self, name: str, text: str) -> Path:
        """A file of the user's; text may be indented."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        timeout: float = 180.0,
        stdin: str | None = None,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """Any command; AssertionError with its output where check finds it failed."""
        done = subprocess.run(
            [str(part) for part in [*self.prefix, *argv]],
            cwd=self.directory,
            env={**self.env, **env},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout * PATIENCE,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{argv}:\n{done.stdout}\n{done.stderr}"
        return done

    def script(
        self, text: str, *args: str, name: str = "script.py", **options: Any
    ) -> str:
        """Runs text as a file with Python; its standard output."""
        path = self.write(name, text)
        return self.run([PYTHON, path, *args], **options).stdout

    def repl(self, text: str, **options: Any) -> str:
        """Types text into an interactive Python; its standard output."""
        typed = textwrap.dedent(text).lstrip("\n") + "\n"
        return self.run([PYTHON, "-i", "-q"], stdin=typed, **options).stdout

    def ctl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run([BIN / "understudy-ctl", *args], **options)

    def start(self, name: str, argv: Sequence[str | Path], **popen: Any) -> Process:
        """A command in the background; end it, or let the fixture do so."""
        argv = [*self.prefix, *argv]
        process = Process(name, argv, self.directory, self.env, **popen)
        self._started(process)
        return process
