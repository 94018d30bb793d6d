# SPDX-License-Identifier: MIT
"""docs/python.md: each program there prints what stands under it. Blocks named with a
folder are files that they use."""

import importlib.util

import pytest

from support.documents import Document

PAGE = Document("docs/python.md")
PROGRAMS = {
    title: text
    for kind, title, text in PAGE.all
    if kind == "python" and title.endswith(".py") and "/" not in title
}
FILES = {title: text for _, title, text in PAGE.all if "/" in title}
# What a program imports that may not be installed here.
NEEDS = {"anywhere.py": "anyio"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_page(broker, node, client, name):
    needs = NEEDS.get(name)
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    broker()
    node(channel=["calculator", "default"])
    user = client()
    for path, text in FILES.items():
        user.write(path, text)
    said = user.script(PROGRAMS[name], name=name)
    assert said == PAGE.block("text", name)
