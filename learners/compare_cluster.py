"""Runs of a comparison in Ray workers, one task each."""

import json
import queue
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learners.cluster import MAX_RETRIES, Tell, failure_of, is_gone, serve
from learners.config import RayConfig
from learners.ray_driver import RayDriver, session_nice
from learners.recipes.run_spec import RunResult, RunSpec, failed_run
from learners.workers_cluster import together_task
from memory.giving_way import give_way

if TYPE_CHECKING:
    from learners.recipes.run import Further

_WAIT_S = 0.5

RunTask = Callable[[dict[str, Any]], dict[str, Any]]
"""From a `RunSpec` to a `RunResult`, both as plain values."""


class RayRuns(RayDriver):
    """Runs many specs at once.

    Args:
        config: Where tasks run; `num_cpus` of them at a time in a local Ray.
        temp_dir: Folder for Ray's sockets and logs; a short one is made if the path is too long.
        module: What Ray's driver runs; calls `serve_runs`.
    """

    def __init__(
        self, config: RayConfig, temp_dir: Path, module: str = "learners.compare_cluster"
    ) -> None:
        super().__init__(config, temp_dir, module)

    def results(self, specs: Sequence[RunSpec]) -> Iterator[RunResult | None]:
        """Yield the result of each run as it ends, and None about twice a second meanwhile.

        If Ray cannot be started or dies, the runs that are left yield failures that say so.
        """
        left = {spec.name: spec for spec in specs}
        if not left:
            return
        self.start()
        self._send({"runs": [spec.model_dump(mode="json") for spec in specs]})
        while left:
            line = self._answer(wait_s=_WAIT_S)
            if line is None and self._failure is not None:
                yield from (failed_run(spec, self._failure) for spec in left.values())
                return
            if line is None:
                yield None
                continue
            message = json.loads(line)
            if "result" not in message and "name" not in message:
                yield from (failed_run(spec, str(message["failure"])) for spec in left.values())
                return
            if "result" in message:
                result = RunResult.model_validate(message["result"])
            else:
                result = failed_run(left[message["name"]], message["failure"])
            del left[result.name]
            yield result


def run_task(spec: dict[str, Any]) -> dict[str, Any]:
    """Do one run in a worker; plain values in and out."""
    return run_with(RunSpec.model_validate(spec))


def run_with(spec: RunSpec, further: "Further | None" = None) -> dict[str, Any]:
    """Do one run, or a process's part of it, in a worker that gives way to others.

    Args:
        spec: What to do.
        further: More probes.
    """
    # Only here: the driver needs no torch.
    from learners.losses.across import Processes
    from learners.recipes.run import run, run_or_raise

    give_way(spec.nice, min(spec.nice, session_nice()))
    if spec.num_processes == 1:
        return run(spec, further=further).model_dump(mode="json")
    # Raised, so that the others do not wait for one that failed.
    return run_or_raise(spec, further=further, across=Processes()).model_dump(mode="json")


def serve_runs(run_task: RunTask) -> None:
    """Answer runs.

    Args:
        run_task: Does one of them in a worker; a function of a module that workers can import.
    """
    serve(partial(_answer_runs, run_task))


def _answer_runs(run_task: RunTask, line: str, lines: "queue.Queue[str]", tell: Tell) -> bool:
    """Do all runs of a question; each is told when it ends."""
    import ray

    waiting = [RunSpec.model_validate(spec) for spec in json.loads(line)["runs"]]
    at_once = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    running: dict[Any, str] = {}
    while waiting or running:
        while waiting and len(running) * waiting[0].num_processes < at_once:
            spec = waiting.pop(0)
            running[_submit(run_task, spec)] = spec.name
        done, _ = ray.wait(list(running), timeout=_WAIT_S)
        if is_gone(lines):
            return False
        for reference in done:
            name = running.pop(reference)
            try:
                tell({"result": ray.get(reference)})
            except ray.exceptions.RayError as error:
                tell({"name": name, "failure": failure_of(error)})
    return True


def _submit(run_task: RunTask, spec: RunSpec) -> Any:
    """Return the reference of a run that was handed to Ray."""
    import ray

    values = spec.model_dump(mode="json")
    if spec.num_processes == 1:
        return ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(run_task).remote(values)
    # It only waits: the processors are for the workers that it asks for.
    waiter = ray.remote(num_cpus=0, max_retries=MAX_RETRIES)(together_task)
    return waiter.remote(run_task, values)


if __name__ == "__main__":
    # By its real name, so that workers import the task instead of unpickling a copy of it.
    from learners.compare_cluster import run_task as task_by_name

    serve_runs(task_by_name)
