# SPDX-License-Identifier: MIT
"""A backend for joblib: Parallel, and with it scikit-learn, runs on nodes.

    import joblib
    import understudy.joblib

    with joblib.parallel_config("understudy", channel="calculator",
                                packages=["scikit-learn"]):
        search.fit(X, y)

Takes the keywords of the decorator; packages= must bring joblib and what is called.
n_jobs=-1, the default, is as many as the nodes on the channel run at a time. Importing
this module registers the backend.
"""

from __future__ import annotations

from typing import Any, Callable, Optional, Set

from joblib import register_parallel_backend
from joblib._parallel_backends import AutoBatchingMixin, ParallelBackendBase

from understudy import _chunks
from understudy._executor import Executor
from understudy._options import DEFAULT_CHANNEL
from understudy._result import Result

__all__ = ["UnderstudyBackend"]


class UnderstudyBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """One batch of calls is one job. Parallel inside a job uses threads there."""

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        channel: str = DEFAULT_CHANNEL,
        *,
        nesting_level: Optional[int] = None,
        inner_max_num_threads: Optional[int] = None,
        **keywords: Any,
    ) -> None:
        super().__init__(
            nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads
        )
        self._pool = Executor(channel, **keywords)
        self._running: Set[Result[Any]] = set()

    def effective_n_jobs(self, n_jobs: Optional[int]) -> int:
        """How many batches are under way at a time."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            n_jobs = self.default_n_jobs
        if n_jobs > 0:
            return n_jobs
        # joblib would run a single one here, without asking this backend.
        return max(self._pool._max_workers + 1 + n_jobs, 2)

    def submit(
        self,
        func: Callable[[], Any],
        callback: Optional[Callable[[Any], object]] = None,
    ) -> Result[Any]:
        # As an argument: a function that is called is remembered for its next call.
        result = self._pool.submit(_chunks.call, func)
        self._running.add(result)
        result.add_done_callback(self._running.discard)
        if callback is not None:
            result.add_done_callback(callback)
        return result

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: Result[Any]) -> Any:
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """After a failure: nobody will ask for the rest."""
        for result in list(self._running):
            result._job.cancel(1, 0)
        self._running.clear()


register_parallel_backend("understudy", UnderstudyBackend)
