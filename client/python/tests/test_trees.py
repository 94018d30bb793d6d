# SPDX-License-Identifier: MIT
"""Unpacked bundles: what makes a tree sound, and how long that is believed."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from understudy import _envelope, exceptions
from understudy._worker import trees

FILES = {"m.py": b"A = 1\n", "pkg/__init__.py": b"", "pkg/deep/m.py": b"B = 2\n"}


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "tree"
    trees.unpack(str(place), FILES)
    return place


def settle(place):
    """Stamps of the tree, once they can be believed."""
    deadline = time.monotonic() + 60
    while True:
        stamps = trees.examine(str(place), FILES)
        if stamps is None or trees.are_settled(stamps):
            return stamps
        assert time.monotonic() < deadline


def test_an_unpacked_tree_is_sound(place):
    stamps = settle(place)
    assert len(stamps) == 3 + len(FILES)
    assert trees.are_unchanged(stamps)


def test_a_fresh_tree_is_not_believed_yet(place):
    """What changes within one step of the kernel's clock keeps its stamp."""
    path, mode, inode, _ = settle(place)[0]
    assert not trees.are_settled([(path, mode, inode, time.time_ns())])


def test_byte_code_belongs_to_python(place):
    (place / "pkg/__pycache__").mkdir()
    (place / "pkg/__pycache__/m.pyc").write_bytes(b"x")
    stamps = settle(place)
    (place / "pkg/__pycache__/n.pyc").write_bytes(b"y")
    assert trees.are_unchanged(stamps)


@pytest.mark.parametrize(
    "harm",
    [
        lambda place: (place / "m.py").write_bytes(b"A = 2\n"),
        lambda place: (place / "m.py").unlink(),
        lambda place: (place / "late.py").write_bytes(b""),
        lambda place: (place / "pkg/late").mkdir(),
        lambda place: (place / "pkg/deep").rename(place / "pkg/other"),
        lambda place: (place / "m.py").unlink() or os.mkfifo(place / "m.py"),
        lambda place: place.rename(f"{place}.old") or place.symlink_to(f"{place}.old"),
    ],
    ids=["content", "less", "more", "folder", "renamed", "fifo", "link"],
)
def test_harm_is_seen_and_mended(place, harm):
    stamps = settle(place)
    harm(place)
    assert not trees.are_unchanged(stamps)
    assert trees.examine(str(place), FILES) is None
    trees.unpack(str(place), FILES)
    assert settle(place) is not None
    assert place.name in os.listdir(place.parent)


def test_an_archive_has_the_sum_of_its_name(tmp_path):
    archive = tmp_path / "blob"
    archive.write_bytes(_envelope.encode_bundle(FILES))
    digest = hashlib.sha256(archive.read_bytes()).digest()
    assert trees.read_archive(digest, str(archive)) == FILES
    archive.write_bytes(b"junk")
    with pytest.raises(exceptions.ProtocolError):
        trees.read_archive(hashlib.sha256(b"junk").digest(), str(archive))
    with pytest.raises(trees.BlobGone):
        trees.read_archive(digest, str(archive))
    assert not archive.exists()
    with pytest.raises(trees.BlobGone):
        trees.read_archive(digest, str(archive))
