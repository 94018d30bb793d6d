# SPDX-License-Identifier: MIT
"""Two builds in turn: the one of this checkout and the one of another. What measures is
the same code for both; only programs and the Python package differ."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parents[2]

Rounds = dict[str, list[float]]


def one_round(checkout: Path, options: list[str]) -> dict[str, float]:
    """A broker, a node and a client of that checkout, in processes of their own."""
    environment = {
        **os.environ,
        "UNDERSTUDY_BIN_DIR": str(checkout / "build" / "bin"),
        "PYTHONPATH": str(HERE / "tests"),
    }
    command = [str(checkout / ".venv" / "bin" / "python"), "-B", "-m", "bench"]
    told = subprocess.run(
        [*command, "--json", "--no-peers", "--rounds", "1", *options],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return json.loads(told)["understudy"]


def versus(other: Path, rounds: int, options: list[str]) -> dict[str, Rounds]:
    """ABBA, rounds times: every figure of every round, by figure and by side."""
    figures: dict[str, Rounds] = {}
    order = [("before", other), ("after", HERE), ("after", HERE), ("before", other)]
    for side, checkout in order * rounds:
        print(f"{side}: {checkout}", file=sys.stderr)
        for name, value in one_round(checkout, options).items():
            sides = figures.setdefault(name, {"before": [], "after": []})
            sides[side].append(value)
    return figures


def tell(figures: dict[str, Rounds]) -> None:
    """Medians and their ratio; beside them the ranges of the rounds: the noise."""
    for name, sides in figures.items():
        before, after = (statistics.median(sides[s]) for s in ("before", "after"))
        ranges = (f"{min(sides[s]):,.0f}-{max(sides[s]):,.0f}" for s in sides)
        print(
            f"{name:24} before {before:10,.0f}  after {after:10,.0f}"
            f"  ratio {after / before:5.2f}  ({', '.join(ranges)})"
        )
