"""One run of a comparison: train, probe, put the result down. Goes on where it was cut off."""

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float64

from learners.batch import Scale
from learners.devices import best_device
from learners.losses.across import ALONE, Across
from learners.manifest import sha256_of
from learners.pose_graph import PoseGraph
from learners.probes import ProbeData, draw_probes
from learners.recipes.measure import METRICS, measure
from learners.recipes.model import ComposedModel
from learners.recipes.run_spec import (
    DataSpec,
    RunResult,
    RunSpec,
    failed_run,
    keeps_model,
    read_result,
)
from learners.recipes.stored import load_model, load_training, save_model, save_training
from learners.recipes.train import Trained, begin, go_on
from learners.recipes.window_shares import window_shares
from learners.round_spec import body_from_dict
from learners.throughput import Throughput, throughput
from memory.errors import NotEnoughDataError
from memory.files import write_atomic
from memory.protocols import ReplayStore
from memory.replay.store import LanceReplay

_PROGRESS_S = 0.5
_log = logging.getLogger(__name__)
_GRAPH_BATCHES = 8
_GRAPH_WINDOWS = 32


class Further(Protocol):
    """Probes that need more than the model and held-out windows, such as a body."""

    def __call__(
        self, model: ComposedModel, data: ProbeData
    ) -> dict[str, Float64[np.ndarray, "w"]]:
        """Return values by the name of a metric; their mean is the metric."""
        ...


def run(
    spec: RunSpec, replay: ReplayStore | None = None, further: Further | None = None
) -> RunResult:
    """Train and probe; whatever goes wrong with the recipe becomes a result that says so.

    A run that was finished and whose model was kept is not trained, but probed again.

    The result is written to `spec.result_file` unless it is a failure, which a later call tries
    again.

    Args:
        spec: What to do.
        replay: Store to read from; None opens the one of the spec.
        further: More probes.
    """
    try:
        return run_or_raise(spec, replay, further)
    except Exception as error:  # one recipe must not cost the others their row
        _log.exception("%s failed", spec.name)
        words = (str(error).strip() or "no message").splitlines()[0]
        return failed_run(spec, f"{type(error).__name__}: {words}")


def run_or_raise(
    spec: RunSpec,
    replay: ReplayStore | None = None,
    further: Further | None = None,
    across: Across = ALONE,
) -> RunResult:
    """Train and probe; the first of several processes writes what is written.

    Args:
        spec: What to do.
        replay: Store to read from; None opens the one of the spec.
        further: More probes.
        across: The processes that train together.

    Returns:
        What came of it; only the first process probes, the others return no metrics.

    Raises:
        Exception: Whatever went wrong.
    """
    torch.set_num_threads(spec.num_threads)
    spec.result_file.parent.mkdir(parents=True, exist_ok=True)
    store = replay or LanceReplay(spec.data.memory_folder, spec.data.replay)
    try:
        result = _run(spec, store.at_version(spec.data.version), further, across)
    finally:
        if across.rank == 0:
            spec.progress_file.unlink(missing_ok=True)
        if isinstance(store, LanceReplay) and replay is None:
            store.close()
    if across.rank == 0:
        write_atomic(spec.result_file, result.model_dump_json(indent=1).encode() + b"\n")
        spec.state_file.unlink(missing_ok=True)
    return result


def probe_set(replay: ReplayStore, data: DataSpec) -> tuple[ProbeData, PoseGraph]:
    """Return the windows that all models are probed on, and the steps walked between poses.

    Both depend on the data alone, not on what a training happened to draw.

    Args:
        replay: A view of the version.
        data: Numbers and seed.

    Raises:
        NotEnoughDataError: If there is no held-out or no training window of that length.
    """
    scale = Scale.of(body_from_dict(data.body))
    rng = np.random.default_rng([data.seed, 0])
    probes = draw_probes(replay, scale, data.num_windows, data.horizon, rng)
    graph = PoseGraph(scale)
    graph.add(probes.pose)
    for _ in range(_GRAPH_BATCHES):
        graph.add(replay.sample(_GRAPH_WINDOWS, data.horizon, rng).pose)
    return probes, graph


def _run(spec: RunSpec, replay: ReplayStore, further: Further | None, across: Across) -> RunResult:
    # First, so that data which do not suffice are told before anything is trained.
    probes, graph = probe_set(replay, spec.data)
    sha256 = _sha256(probes)
    before = read_result(spec)
    if before is not None and keeps_model(spec):
        if before.probes_sha256 != sha256:
            raise NotEnoughDataError(
                f"the model of {spec.name} cannot be probed again: retention dropped steps of its "
                "probe windows"
            )
        model, _ = load_model(spec.model_folder, spec.recipe)
        spent = before.model_dump(include={"updates", "cpu_s", "losses", "throughput"})
    else:
        trained, speed = _train(spec, replay, across)
        model, log = trained.model, trained.log
        cpu_s = float(across.total(torch.tensor(trained.cpu_s, dtype=torch.float64)))
        spent = {
            "updates": log.num_updates,
            "cpu_s": cpu_s,
            "losses": log.mean_losses(),
            "throughput": None if speed is None else speed.as_metrics(),
        }
    if across.rank != 0:
        return failed_run(spec, "probed by the first process")
    measured = measure(model, probes, graph, spec.data.seed)
    shares = window_shares(model, probes, measured)
    found = {} if further is None else further(model, probes)
    measured |= {name: values.mean() for name, values in found.items()}
    if spec.keep_model:
        save_model(spec, model, spent["updates"])
    return RunResult(
        name=spec.name,
        recipe=spec.recipe.name,
        seed=spec.seed,
        metrics={name: _plain(measured[name]) for name in METRICS},
        windows={
            name: tuple(share.tolist())
            for name, share in (shares | found).items()
            if np.isfinite(share).all()
        },
        probes_sha256=sha256,
        parameters=measured["parameters"],
        **spent,
    )


def _train(spec: RunSpec, replay: ReplayStore, across: Across) -> tuple[Trained, Throughput | None]:
    scale = Scale.of(body_from_dict(spec.data.body))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        training = begin(spec.recipe, spec.seed, across, best_device())
        load_training(spec.state_file, training, spec.name)
        save_due = _every(spec.save_every_s)
        tell_due = _every(_PROGRESS_S)

        def note(done: int, planned: int) -> None:
            if across.rank != 0:
                return
            if save_due():
                save_training(spec.state_file, training, spec.name)
            if tell_due():
                spec.progress_file.write_text(f"{done} {planned}", encoding="ascii")

        trained = go_on(training, spec.recipe, replay, scale, spec.budget, spec.seed, note)
    settings = spec.recipe.training
    return trained, throughput(
        training.updater,
        trained.log,
        batch_size=settings.batch_size // across.count,
        horizon=settings.horizon,
    )


def _every(seconds: float) -> Callable[[], bool]:
    """Return a function that tells, at most once in so many seconds, that they are over."""
    last_s = time.monotonic()

    def is_due() -> bool:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s < seconds:
            return False
        last_s = now_s
        return True

    return is_due


def _plain(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _sha256(probes: ProbeData) -> str:
    windows = probes.windows
    parts = (probes.pose, probes.fit_pose, windows.image.numpy(), windows.command.numpy())
    return sha256_of(b"".join(part.tobytes() for part in parts))
