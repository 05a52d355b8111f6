"""One run of a comparison by several processes that share its batches, through Ray Train."""

from collections.abc import Callable
from functools import partial
from typing import Any

from learners.recipes.run_spec import RunResult, RunSpec, failed_run

_FOLDER = "ray_train"
"""Beside the runs: Ray Train wants to keep something of each."""


RunTask = Callable[[dict[str, Any]], dict[str, Any]]
"""From a `RunSpec` to a `RunResult`, both as plain values."""


def together_task(run_task: RunTask, spec: dict[str, Any]) -> dict[str, Any]:
    """Do one run in several workers of their own; plain values in and out.

    Whatever goes wrong in one of them ends all of them and becomes a result that says so.

    Args:
        run_task: Does one process's part, when Ray Train has introduced the processes to each
            other; the first writes the result.
        spec: What to do.
    """
    import ray
    from ray import train
    from ray.train.torch import TorchConfig, TorchTrainer

    parsed = RunSpec.model_validate(spec)
    on_cards = ray.cluster_resources().get("GPU", 0.0) >= parsed.num_processes
    trainer = TorchTrainer(
        partial(_one_of_many, run_task),
        train_loop_config=spec,
        # What is counted on the processor goes through gloo on graphics cards, too.
        torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if on_cards else "gloo"),
        scaling_config=train.ScalingConfig(num_workers=parsed.num_processes, use_gpu=on_cards),
        run_config=train.RunConfig(name=parsed.name, storage_path=str(parsed.out / _FOLDER)),
    )
    try:
        trainer.fit()
    except train.TrainingFailedError as error:
        return failed_run(parsed, _reason(error)).model_dump(mode="json")
    result = RunResult.model_validate_json(parsed.result_file.read_text("utf-8"))
    return result.model_dump(mode="json")


def _one_of_many(run_task: RunTask, spec: dict[str, Any]) -> None:
    run_task(spec)


def _reason(error: Exception) -> str:
    """Return in a line why workers failed."""
    causes = list(getattr(error, "worker_failures", {}).values()) or [error]
    cause = getattr(causes[0], "cause", None) or causes[0]
    words = (str(cause).strip() or "no message").splitlines()[-1]
    return words
