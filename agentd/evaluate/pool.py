"""Plays jobs in worker processes, with a progress bar on standard error."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Job = TypeVar("Job")
Result = TypeVar("Result")


def play_all(
    play: Callable[[Job], Result], jobs: Sequence[Job], workers: int, title: str
) -> Iterator[Result]:
    """Yield results as they finish, with a progress bar.

    Args:
        play: Plays one job; a function of a module, so that it reaches a new process.
        jobs: What to play.
        workers: Processes; with one the jobs are played in this process, in order.
        title: What a job is, for the bar.

    Raises:
        Exception: What a job raised; hours of the other jobs are not to be lost by it, so it is
            told at once and raised once they are through.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    failed: list[Exception] = []
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(title, total=len(jobs))
        for result in _finished(play, jobs, workers):
            progress.advance(bar)
            if isinstance(result, _Failed):
                failed.append(result.error)
                progress.console.print(f"a job of {title} failed: {result.error}", markup=False)
            else:
                yield result
    if failed:
        failed[0].add_note(f"{len(failed)} of {len(jobs)} jobs failed, this is the first")
        raise failed[0]


@dataclass(frozen=True)
class _Failed:
    error: Exception


def _finished(
    play: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result | _Failed]:
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            result: Result | _Failed
            try:
                result = play(job)
            except Exception as error:
                result = _Failed(error)
            yield result
        return
    # spawn: a forked child would inherit the locks of threads that do not exist in it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_end_with_parent
    ) as pool:
        futures = [pool.submit(play, job) for job in jobs]
        try:
            for future in as_completed(futures):
                raised = future.exception()
                if isinstance(raised, Exception) and not isinstance(raised, BrokenExecutor):
                    yield _Failed(raised)
                else:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Have this worker end when the process that started it is killed: nobody takes its result."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="watch-parent", daemon=True).start()
