# SPDX-License-Identifier: MIT
"""What this process is: a program that submits jobs, or a worker that runs them.

The worker runtime sets ``in_worker``; a decorated function that is called where it is
true runs in place, as a plain call.
"""

from __future__ import annotations

import logging

in_worker: bool = False

# Whether a decorated function has run in place in this worker.
ran_in_place: bool = False

NOT_IN_A_JOB = (
    "a Result, a Lead or an Executor cannot be used inside a job: give the job values, "
    "such as result.get(), and submit other jobs from the program itself"
)


def give_logger(instance: object) -> None:
    """Lets a method write ``self.logger.info(...)``.

    The logger goes to the class, so that it neither travels with the instance nor needs
    a ``__dict__``. A class that has a ``logger`` of its own keeps it.
    """
    cls = type(instance)
    if hasattr(cls, "logger") or hasattr(instance, "logger"):
        return
    try:
        type.__setattr__(
            cls, "logger", logging.getLogger(f"{cls.__module__}.{cls.__qualname__}")
        )
    except TypeError:
        pass  # a class written in C has no room for it
