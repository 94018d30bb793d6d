# SPDX-License-Identifier: MIT
"""Tiny wheels, built in a moment, and a package index for them on the loopback."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import threading
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"{path},sha256={digest.decode()},{len(data)}\n"


def build_wheel(
    directory: Path,
    name: str,
    version: str,
    modules: Mapping[str, str],
    requires: Sequence[str] = (),
    requires_python: str = ">=3.9",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Writes a pure Python wheel; modules maps paths ("pkg/__init__.py") to text."""
    stem = f"{normalise(name).replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Python: {requires_python}\n"
    metadata += "".join(f"Requires-Dist: {line}\n" for line in requires)
    files = dict(modules)
    files[f"{info}/METADATA"] = metadata
    files[f"{info}/WHEEL"] = (
        "Wheel-Version: 1.0\nGenerator: tests\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n"
    )
    if scripts:
        lines = "".join(f"{key} = {target}\n" for key, target in scripts.items())
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    path = directory / f"{stem}-py3-none-any.whl"
    record = ""
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
            record += _record_line(file, text.encode())
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


class WheelIndex:
    """A simple index (PEP 503) on 127.0.0.1; .requests lists the paths asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.requests: list[str] = []
        directory.mkdir(parents=True, exist_ok=True)
        handler = type("Handler", (_Handler,), {"index": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple/"

    def add(
        self,
        name: str,
        version: str = "1.0",
        modules: Mapping[str, str] | None = None,
        requires: Sequence[str] = (),
        **more: str,
    ) -> Path:
        """Without modules: one module of that name with its version as VERSION."""
        if modules is None:
            module = normalise(name).replace("-", "_")
            modules = {f"{module}.py": f"VERSION = {version!r}\n"}
        return build_wheel(self.directory, name, version, modules, requires, **more)

    def page(self, project: str) -> str | None:
        """The links of one project; None where there is none."""
        links = []
        for path in sorted(self.directory.glob("*.whl")):
            if normalise(path.name.split("-")[0]) == project:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                links.append(f'<a href="/{path.name}#sha256={digest}">{path.name}</a>')
        return "<!DOCTYPE html>\n" + "\n".join(links) if links else None

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    index: WheelIndex

    def do_GET(self) -> None:
        self.index.requests.append(self.path)
        name = self.path.strip("/")
        if name.startswith("simple/"):
            page = self.index.page(normalise(name[len("simple/") :]))
            self._answer(page.encode() if page else None, "text/html")
        else:
            file = self.index.directory / Path(name).name
            found = file.is_file() and file.suffix == ".whl"
            data = file.read_bytes() if found else None
            self._answer(data, "application/octet-stream")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, data: bytes | None, kind: str) -> None:
        body = data if data is not None else b"not found"
        self.send_response(200 if data is not None else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
