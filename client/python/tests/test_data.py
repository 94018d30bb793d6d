# SPDX-License-Identifier: MIT
"""Data files of a package: which travel."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from understudy import _data


@pytest.fixture
def folder(tmp_path):
    for path, text in {
        "__init__.py": "",
        "mod.py": "",
        "stub.pyi": "",
        "words.txt": "words",
        "deep/er/data.json": "{}",
        ".env": "secret",
        ".cache/x": "secret",
        "__pycache__/mod.pyc": "",
        "venv/pyvenv.cfg": "",
        "venv/x.txt": "",
        "made.egg-info/PKG-INFO": "",
    }.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def names(folder):
    return sorted(_data.collect("pkg", [str(folder)]).files)


def test_which_travel(folder):
    os.symlink("nowhere", folder / "broken")
    os.mkfifo(folder / "pipe")
    assert names(folder) == ["pkg/deep/er/data.json", "pkg/words.txt"]


def test_what_changes_is_noticed(folder):
    data = _data.collect("pkg", [str(folder)])
    assert data.is_as_it_was()
    (folder / "words.txt").write_text("other words")
    assert not data.is_as_it_was()
    data = _data.collect("pkg", [str(folder)])
    (folder / "deep" / "more.txt").touch()
    assert not data.is_as_it_was()


def test_what_is_over_the_limit_stays_behind(folder, monkeypatch):
    monkeypatch.setattr(_data, "LIMIT", 1 << 20)
    (folder / "large.bin").write_bytes(bytes((1 << 20) - 2))
    with pytest.warns(UserWarning, match=r"stay behind, they are over 1 MiB.*large"):
        assert names(folder) == ["pkg/deep/er/data.json", "pkg/words.txt"]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_what_git_ignores_stays_behind(folder):
    subprocess.run(["git", "init", "-q", folder], check=True)
    (folder / ".gitignore").write_text("*.json\n")
    assert names(folder) == ["pkg/words.txt"]
    (folder / "deep" / ".gitignore").write_text("!*.json\n")
    assert names(folder) == ["pkg/deep/er/data.json", "pkg/words.txt"]


def test_where_git_does_not_say_nothing_travels(folder, monkeypatch):
    (folder / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    with pytest.warns(UserWarning, match="git does not say"):
        assert names(folder) == []
