# SPDX-License-Identifier: MIT
"""What the benchmark runs."""


def noop(_=None):
    """The job."""


def byte_of(data, i):
    """One of the jobs that share their data."""
    return data[i]
