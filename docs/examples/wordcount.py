# SPDX-License-Identifier: MIT
"""Counts the words in the real text files of this machine, on the nodes of a channel,
and checks the answer against a count made here.

    understudy-broker & understudy-node &
    python wordcount.py

The texts travel with the jobs, so the nodes need not have these files. Only the
standard library is used there.
"""

import argparse
import gzip
import re
import sys
import time
from collections import Counter
from pathlib import Path

from understudy.decorators import understudy

FOLDERS = ("/usr/share/common-licenses", "/usr/share/doc")
WORD = re.compile(r"[a-z']+")
BATCH = 1 << 20  # characters of text in a job


@understudy
def count_words(texts):
    """How often each word occurs in some texts."""
    counts = Counter()
    for text in texts:
        counts.update(WORD.findall(text.lower()))
    return dict(counts)


def text_files(folders):
    """Each file once: licences are mostly links to each other."""
    seen = set()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            real = path.resolve()
            if real not in seen and real.is_file():
                seen.add(real)
                yield real


def read(path):
    """The text of a file, None for what is no text."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError):
        return None


def batches(texts):
    """Lists of texts of about the same size."""
    batch, size = [], 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def total(counts):
    whole = Counter()
    for part in counts:
        whole.update(part)
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", nargs="*")
    parser.add_argument("--progress", action="store_true", help="show a bar")
    arguments = parser.parse_args()

    for folder in arguments.folders:
        if not Path(folder).is_dir():
            parser.error(f"{folder} is not a folder")
    files = text_files(arguments.folders or FOLDERS)
    texts = [text for text in map(read, files) if text is not None]
    jobs = list(batches(texts))
    if not jobs:
        sys.exit("no text files there; name folders that hold some")
    begin = time.perf_counter()
    elsewhere = total(count_words.map(jobs, progress=arguments.progress))
    seconds = time.perf_counter() - begin
    here = total(map(count_words.__wrapped__, jobs))

    words = sum(elsewhere.values())
    print(f"{words:,} words in {len(texts):,} files, {len(jobs)} jobs, {seconds:.2f} s")
    for word, times in elsewhere.most_common(5):
        print(f"{times:10,}  {word}")
    if elsewhere != here:
        sys.exit("the nodes have counted something else than this machine")
    print("the same as counted here")


if __name__ == "__main__":
    main()
