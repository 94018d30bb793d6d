# SPDX-License-Identifier: MIT
"""The blocks of code in a document, to be run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from .paths import ROOT


class Document:
    """Blocks are found by language and by the name behind it: ```sh look."""

    def __init__(self, path: str) -> None:
        self.path: Path = ROOT / path
        self.text = self.path.read_text()
        pattern = r"^```(\w+) ?(.*?)\n(.*?)^```$"
        self.all = re.findall(pattern, self.text, re.M | re.S)

    def blocks(self, language: str, name: str | None = None) -> list[str]:
        found = [
            text
            for kind, title, text in self.all
            if kind == language and name in (None, title)
        ]
        assert found, (language, name)
        return found

    def block(self, language: str, name: str) -> str:
        (text,) = self.blocks(language, name)
        return text

    def links(self) -> list[Path]:
        """What it points to in the sources."""
        targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", self.text)
        return [self.path.parent / target for target in targets]
