# SPDX-License-Identifier: MIT
"""docs/examples as a user runs them (test_index.py has the one that needs an index)."""

from support import PYTHON, ROOT


def test_counting_words(broker, node, client):
    """No words are an error, not an answer."""
    broker()
    node(channel="default")
    user = client()
    example = ROOT / "docs/examples/wordcount.py"
    missing, empty = user.directory / "missing", user.directory / "empty"
    empty.mkdir()
    for folder, words in ((missing, f"{missing} is not a folder"), (empty, "no text")):
        done = user.run([PYTHON, example, folder], check=False)
        assert done.returncode != 0
        assert done.stdout == ""
        assert words in done.stderr
    user.write("empty/poem.txt", "rose is a rose is a rose\n")
    said = user.run([PYTHON, example, empty]).stdout
    assert said.startswith("7 words in 1 files, 1 jobs")
    assert said.endswith("the same as counted here\n")
