# SPDX-License-Identifier: MIT
"""Fixtures of the tests of the pure Python side."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap

import fake_core
import pytest

sys.modules.setdefault("fake_core", fake_core)
try:
    importlib.import_module("understudy._core")
except ImportError:
    sys.modules["understudy._core"] = fake_core  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """Those of whoever runs the tests do not count."""
    for name in [name for name in os.environ if name.startswith("UNDERSTUDY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERSTUDY_CONFIG", os.devnull)


@pytest.fixture
def core(monkeypatch):
    """The package over a fake library. Gives the fake."""
    import understudy
    from understudy import _client, _serialize

    for module in (understudy, _serialize):
        monkeypatch.setattr(module, "_core", fake_core, raising=False)
    monkeypatch.setitem(sys.modules, "understudy._core", fake_core)
    monkeypatch.setattr(_client, "_clients", {})
    _serialize._blob.cache_clear()
    monkeypatch.setattr(_serialize, "_own_cloudpickle", [])
    monkeypatch.setattr(fake_core.Client, "made", [])
    yield fake_core
    for client in _client._clients.values():
        client.close(0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder on sys.path: project("pkg/mod.py", source) writes a module there."""
    from understudy import _bundle

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(_bundle, "_modules", {})
    before = set(sys.modules)

    def write(path: str, source: str = "") -> None:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        paths = [str(path) for path in getattr(sys.modules[name], "__path__", [])]
        if any(path.startswith(str(tmp_path)) for path in (file, *paths)):
            del sys.modules[name]
