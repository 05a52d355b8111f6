"""Learning rounds in Ray workers; with `learners.compare_cluster` all that imports ray."""

import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from learners.config import RayConfig
from learners.ray_driver import RayDriver, read_lines, session_nice
from learners.round_spec import RoundFailure, RoundResult, RoundSpec
from memory.giving_way import give_way

NAMESPACE = "agentd"

MAX_RETRIES = 1
"""Of a task whose worker died."""

_log = logging.getLogger(__name__)


class RayRounds(RayDriver):
    """Runs one round at a time, elsewhere. No method raises or waits for Ray, but for `close`.

    Args:
        config: Where rounds run.
        temp_dir: Folder for Ray's sockets and logs; a short one is made if the path is too long.
    """

    def __init__(self, config: RayConfig, temp_dir: Path) -> None:
        super().__init__(config, temp_dir, "learners.cluster")
        self._busy = False
        self._submitted_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether a submitted round has not been collected yet."""
        return self._busy

    def submit(self, spec: RoundSpec) -> None:
        """Hand a round over; starts Ray, again if it died. `poll` tells what became of it."""
        assert not self._busy, "one round at a time"
        self._busy, self._failure = True, None
        self._submitted_s = time.monotonic()
        self.start()
        self._send({"spec": spec.model_dump(mode="json")})

    def poll(self) -> RoundResult | RoundFailure | None:
        """Return the outcome of the round in flight, None as long as there is none."""
        if not self._busy:
            return None
        line = self._answer()
        if line is not None:
            return self._parsed(line)
        return None if self._failure is None else self._failed(self._failure)

    def close(self) -> None:
        """End Ray; no process stays. A round in flight is given up. Quiet when called twice."""
        super().close()
        self._busy = False

    def _parsed(self, line: str) -> RoundResult | RoundFailure:
        self._busy = False
        try:
            message = json.loads(line)
            if "result" in message:
                return RoundResult.model_validate(message["result"])
            return self._failed(str(message["failure"]))
        except (ValidationError, KeyError, json.JSONDecodeError) as error:
            return self._failed(f"Ray's driver answered nonsense: {str(error).splitlines()[0]}")

    def _failed(self, reason: str) -> RoundFailure:
        self._busy, self._failure = False, None
        return RoundFailure(reason=reason, seconds=time.monotonic() - self._submitted_s)


Tell = Callable[[dict[str, Any]], None]
"""Takes an answer to the process that asked."""


def serve(answer: Callable[[str, "queue.Queue[str]", Tell], bool]) -> None:
    """Run Ray's driver: configuration and questions come in, answers go out, a line each.

    Args:
        answer: Answers one question; given it, the lines that follow, and where answers go.
            Returns False when the process that asked went away meanwhile.
    """
    # Whatever else prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=read_lines, args=(sys.stdin, lines), daemon=True).start()

    def tell(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    first = lines.get()
    if not first:
        return
    try:
        _init_ray(first)
        trouble = None
    except Exception as error:  # told to the agent instead of a result
        _log.exception("Ray did not start")
        trouble = f"Ray cannot be started: {first_line(error)}"
    while line := lines.get():
        if trouble:
            tell({"failure": trouble})
            break
        if not answer(line, lines, tell):
            break
    _shutdown_ray()


def is_gone(lines: "queue.Queue[str]") -> bool:
    """Return whether the process that asked has closed its end."""
    with contextlib.suppress(queue.Empty):
        return not lines.get_nowait()
    return False


def _init_ray(line: str) -> None:
    import ray

    message = json.loads(line)
    config = RayConfig.model_validate(message["ray"])
    if config.address is not None:
        ray.init(address=config.address, namespace=NAMESPACE, log_to_driver=False)
        return
    ray.init(
        num_cpus=config.num_cpus,
        include_dashboard=False,
        object_store_memory=config.object_store_mb * 2**20,
        log_to_driver=False,
        namespace=NAMESPACE,
        _temp_dir=message["temp_dir"],
        # Not reachable from outside, and not lost when the machine changes its network.
        _node_ip_address="127.0.0.1",
        _metrics_export_port=None,
    )


def _shutdown_ray() -> None:
    import ray

    ray.shutdown()


def cards_for(tasks: int) -> float:
    """Return the share of a graphics card for each of so many tasks, 0 where there is none."""
    import ray

    return min(1.0, ray.cluster_resources().get("GPU", 0.0) / tasks)


def failure_of(error: Exception) -> str:
    """Return in a line why a task failed, or why its worker did."""
    import ray

    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, Exception) else error
        return f"{type(cause).__name__}: {first_line(cause)}"
    return f"the worker died in each of {MAX_RETRIES + 1} tries: {first_line(error)}"


def _answer_round(line: str, lines: "queue.Queue[str]", tell: Tell) -> bool:
    """Run one round."""
    import ray

    task = ray.remote(num_cpus=1, num_gpus=cards_for(1), max_retries=MAX_RETRIES, max_calls=1)(
        round_task
    )
    try:
        reference = task.remote(json.loads(line)["spec"])
        while not ray.wait([reference], timeout=0.5)[0]:
            if is_gone(lines):
                return False
        tell({"result": ray.get(reference)})
    except ray.exceptions.RayError as error:
        tell({"failure": failure_of(error)})
    return True


def round_task(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a round in a worker; plain values in and out."""
    # Only here: the driver needs no torch.
    from learners.round import run_round

    parsed = RoundSpec.model_validate(spec)
    nice = parsed.learners.round.nice
    give_way(nice, min(nice, session_nice()))
    return run_round(parsed).model_dump(mode="json")


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def main() -> None:
    """Answer rounds."""
    serve(_answer_round)


if __name__ == "__main__":
    # By its real name, so that workers import the task instead of unpickling a copy of it.
    from learners.cluster import main as main_by_name

    main_by_name()
