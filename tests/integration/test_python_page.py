# SPDX-License-Identifier: MIT
"""docs/python.md: each program there prints what stands under it. Blocks named with a
folder are files that they use."""

import pytest

from support.documents import Document

PAGE = Document("docs/python.md")
PROGRAMS = {
    title: text
    for kind, title, text in PAGE.all
    if kind == "python" and title.endswith(".py") and "/" not in title
}
FILES = {title: text for _, title, text in PAGE.all if "/" in title}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_the_page(broker, node, client, name):
    broker()
    node(channel=["calculator", "default"])
    user = client()
    for path, text in FILES.items():
        user.write(path, text)
    said = user.script(PROGRAMS[name], name=name)
    assert said == PAGE.block("text", name)
