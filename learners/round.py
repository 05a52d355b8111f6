"""One learning round, in one process: train, probe, judge, publish."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learners.batch import Scale, to_windows
from learners.checkpoint import load_curiosity, load_model, load_optimizer_tensors, to_files
from learners.devices import CPU, best_device
from learners.errors import RecipeError
from learners.gate import is_trusted
from learners.jury import Findings, Jury
from learners.limiter import allowed_updates, limiter_metrics
from learners.manifest import Manifest, Verdict, config_sha256
from learners.plasticity import gauges
from learners.pose_graph import PoseGraph
from learners.probes import (
    ProbeResult,
    draw_probes,
    normalised_per_window,
    probe_frames,
    window_errors,
)
from learners.recipes.build import build, check_acting, completed
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe, differing_parts
from learners.registry import Registry
from learners.round_spec import RoundResult, RoundSpec, body_from_dict
from learners.throughput import throughput
from learners.training import Prefetcher, TrainingLog, train
from learners.update import NotFiniteError, Updater, load_optimizer, updater_for
from memory.protocols import ReplayStore
from memory.replay.change_steps import change_steps
from memory.replay.curiosity import Curiosity
from memory.replay.samplers import Curious, training_mix
from memory.replay.store import LanceReplay

_NUM_PROGRESS_WINDOWS = 64


def run_round(spec: RoundSpec, replay: ReplayStore | None = None) -> RoundResult:
    """Train a candidate from a pinned table version and let the gate judge it.

    The candidate is published with its verdict; promoting it is up to the caller.

    Args:
        spec: Everything that the round depends on.
        replay: Store to read from; None opens the one of the spec.

    Raises:
        NotEnoughDataError: If there is no training or no probe window of the asked horizon.
        CheckpointError: If the parent cannot be read.
        RecipeError: If the recipe's parts do not fit together, or cannot act.
    """
    torch.set_num_threads(spec.learners.round.num_threads)
    if replay is not None:
        return _Round(spec, replay.at_version(spec.replay_version)).run()
    store = LanceReplay(spec.memory_folder, spec.replay)
    try:
        return _Round(spec, store.at_version(spec.replay_version)).run()
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class _Start:
    """Weights and optimiser that a round begins with, and what was learned with them."""

    parent: Manifest | None
    init_seed: int
    model: ComposedModel
    updater: Updater
    curiosity: Curiosity


class _Round:
    def __init__(self, spec: RoundSpec, store: ReplayStore) -> None:
        self._began = time.monotonic()
        self._spec, self._store = spec, store
        self._config = spec.learners.round
        check_acting(spec.recipe)
        self._recipe = completed(spec.recipe)
        self._scale = Scale.of(body_from_dict(spec.body))
        self._registry = Registry(spec.checkpoints_folder)
        self._start = _start(spec, self._recipe, self._registry)
        parent = self._start.parent
        self._new_lineage = "" if parent else _new_lineage(spec, self._recipe, self._registry)
        # Differs from round to round, and is the same when a round is repeated.
        entropy = [self._config.seed, spec.replay_version, parent.total_updates if parent else 0]
        self._seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        changes, self._last_event_id = change_steps(spec.memory_folder, spec.last_event_id)
        self._curious = Curious(self._start.curiosity)
        self._sampler = training_mix(
            self._config.sampling, spec.replay.strata, changes, self._curious
        )

    def run(self) -> RoundResult:
        config = self._config
        rng = np.random.default_rng(self._seed + 1)
        graph = PoseGraph(self._scale)
        model = self._start.model
        allowed = self._allowed_updates()
        try:
            with self._batches(graph) as batches:
                # The first batch is made meanwhile: it is the only one that is ever waited for.
                data = draw_probes(
                    self._store, self._scale, config.num_probe_windows, config.probe_frames, rng
                )
                graph.add(data.pose)
                if allowed == 0:
                    return self._unfit(
                        f"held back: the {len(self._store)} rows were trained on "
                        f"{config.sampling.max_samples_per_insert:g} times already"
                    )
                log = train(
                    self._start.updater,
                    batches,
                    self._seed,
                    budget_s=config.budget_s,
                    max_updates=min(allowed, config.max_updates),
                )
        except NotFiniteError as error:
            return self._unfit(f"not finite: {error}")
        # Judged where it will act.
        model.to(CPU)
        jury = Jury(data=data, graph=graph, config=self._spec.learners.gate, seed=self._seed)
        acting = self._load(self._spec.parent_id)
        findings = jury.judge(model, acting, self._load(self._anchor_id()))
        verdict, candidate, incumbent = (
            findings.verdict,
            findings.candidate,
            findings.incumbent,
        )
        if candidate is None:
            return self._unfit(*verdict.reasons)
        self._describe(candidate, findings, log, limited=log.num_updates == allowed)
        return RoundResult(
            checkpoint_id=self._publish(log, candidate, verdict) if verdict.sane else None,
            accepted=verdict.accepted,
            reasons=verdict.reasons,
            metrics=candidate.metrics,
            incumbent_metrics=incumbent.metrics if incumbent else None,
            new_lineage=self._new_lineage,
            learning_progress=self._progress(model, candidate, acting, incumbent),
            num_updates=log.num_updates,
            train_s=log.seconds,
            waited_share=log.waited_share,
            seconds=time.monotonic() - self._began,
            rows=self._rows(),
        )

    def _batches(self, graph: PoseGraph) -> Prefetcher:
        return Prefetcher(
            self._store,
            self._recipe.training,
            self._scale,
            graph,
            self._seed,
            self._sampler,
            self._curious,
        )

    def _allowed_updates(self) -> int:
        config, parent = self._config, self._start.parent
        return allowed_updates(
            config.sampling,
            len(self._store),
            parent.total_frames if parent else 0,
            self._frames_per_update,
        )

    @property
    def _frames_per_update(self) -> int:
        training = self._recipe.training
        return training.batch_size * training.accumulate * training.horizon

    def _throughput(self, log: TrainingLog) -> dict[str, float | None] | None:
        training = self._recipe.training
        speed = throughput(
            self._start.updater, log, batch_size=training.batch_size, horizon=training.horizon
        )
        return None if speed is None else speed.as_metrics()

    def _total_frames(self, log: TrainingLog) -> int:
        parent = self._start.parent
        return log.num_updates * self._frames_per_update + (parent.total_frames if parent else 0)

    def _describe(
        self, candidate: ProbeResult, findings: Findings, log: TrainingLog, *, limited: bool
    ) -> None:
        """Add to the candidate's metrics what its training was like."""
        config, metrics, parent = self._config, candidate.metrics, self._start.parent
        metrics["losses"] = losses = log.mean_losses()
        metrics["sampling"] = limiter_metrics(
            config.sampling,
            len(self._store),
            self._total_frames(log),
            limited=limited and log.num_updates < config.max_updates,
        )
        assert findings.activity is not None
        metrics["plasticity"] = gauges(
            self._start.model,
            findings.activity,
            losses.get("grad_norm"),
            metrics["effective_rank"],
            parent.metrics.get("effective_rank") if parent else None,
        )

    def _anchor_id(self) -> str | None:
        """Return the best checkpoint so far, None if it is the one that acts."""
        anchor_id = self._spec.anchor_id or self._registry.anchor()
        return None if self._spec.parent_id in (None, anchor_id) else anchor_id

    def _load(self, checkpoint_id: str | None) -> ComposedModel | None:
        if checkpoint_id is None:
            return None
        manifest = self._registry.manifest(checkpoint_id)
        return load_model(self._registry.path(checkpoint_id), manifest)

    def _publish(self, log: TrainingLog, candidate: ProbeResult, verdict: Verdict) -> str:
        spec, settings, parent = self._spec, self._spec.learners, self._start.parent
        manifest = Manifest(
            id="",
            parent_id=parent.id if parent else None,
            incumbent_id=spec.parent_id,
            anchor_id=self._anchor_id(),
            level="minor" if self._start.updater.frozen else "major",
            encoder_id=parent.encoder_version if parent and self._start.updater.frozen else None,
            init_seed=self._start.init_seed,
            created_ns=time.time_ns(),
            recipe=self._recipe,
            body=spec.body,
            config_sha256=config_sha256(settings, self._recipe),
            git_commit=spec.git_commit,
            seed=self._seed,
            replay_version=spec.replay_version,
            rows=self._rows(),
            newest_stamp_ns=spec.newest_stamp_ns,
            oldest_new_stamp_ns=spec.oldest_new_stamp_ns,
            num_updates=log.num_updates,
            total_updates=log.num_updates + (parent.total_updates if parent else 0),
            total_frames=self._total_frames(log),
            last_event_id=self._last_event_id,
            metrics=candidate.metrics,
            trusted=is_trusted(candidate.metrics, settings.gate),
            verdict=verdict,
            round_seconds=time.monotonic() - self._began,
            waited_share=log.waited_share,
            throughput=self._throughput(log),
        )
        start = self._start
        files = to_files(start.model, start.updater, start.curiosity)
        return self._registry.publish(manifest, files).id

    def _progress(
        self,
        model: ComposedModel,
        candidate: ProbeResult,
        acting: ComposedModel | None,
        incumbent: ProbeResult | None,
    ) -> tuple[tuple[float, float, float], ...]:
        """Return where the candidate foresees better than the incumbent, on seen windows too."""
        if acting is None or incumbent is None:
            return ()
        gain = normalised_per_window(incumbent.error, incumbent.change)
        gain = gain - normalised_per_window(candidate.error, candidate.change)
        places = [(candidate.xy_m, gain)]
        rng = np.random.default_rng(self._seed + 2)
        batch = self._store.sample(
            _NUM_PROGRESS_WINDOWS,
            probe_frames(self._config.probe_frames),
            rng,
            sampler=self._sampler,
        )
        windows = to_windows(batch, self._scale, rng)
        gain = normalised_per_window(*window_errors(acting, windows))
        gain = gain - normalised_per_window(*window_errors(model, windows))
        places.append((batch.pose[:, 0, :2].astype(np.float64), gain))
        return tuple(
            (float(x), float(y), float(g))
            for xy, gains in places
            for (x, y), g in zip(xy, gains, strict=True)
        )

    def _unfit(self, reason: str) -> RoundResult:
        return RoundResult(
            checkpoint_id=None,
            accepted=False,
            reasons=(reason,),
            metrics={},
            new_lineage=self._new_lineage,
            seconds=time.monotonic() - self._began,
            rows=self._rows(),
        )

    def _rows(self) -> tuple[int, int]:
        return self._spec.rows or (0, len(self._store) - 1)


def _start(spec: RoundSpec, recipe: Recipe, registry: Registry) -> _Start:
    """Return what is trained on: the trunk's weights and optimiser, or fresh ones."""
    settings = spec.learners.round
    parent = _parent(spec, recipe, registry)
    if parent is None:
        model = build(recipe, settings.seed)
        curiosity = Curiosity(settings.sampling.curiosity)
        updater = updater_for(model, recipe, device=best_device())
        return _Start(None, settings.seed, model, updater, curiosity)
    folder: Path = registry.path(parent.id)
    # The losses are those of now: which weights they pull towards is up to them.
    model = load_model(folder, parent.model_copy(update={"recipe": recipe}))
    frozen = (model.encoder,) if settings.freeze_encoder else ()
    updater = updater_for(model, recipe, frozen, device=best_device())
    load_optimizer(updater, load_optimizer_tensors(folder, parent))
    curiosity = load_curiosity(folder, parent, settings.sampling.curiosity)
    return _Start(parent, parent.init_seed, model, updater, curiosity)


def _parent(spec: RoundSpec, recipe: Recipe, registry: Registry) -> Manifest | None:
    """Return the checkpoint that the training goes on from, None for a new lineage.

    Weights of other parts or another body do not fit: then the one that acts may.
    """
    for checkpoint_id in (spec.trunk_id or registry.trunk(), spec.parent_id):
        if checkpoint_id is None:
            continue
        manifest = registry.manifest(checkpoint_id)
        if manifest.body == spec.body and not _differences(manifest, recipe):
            return manifest
    return None


def _differences(manifest: Manifest, recipe: Recipe) -> list[str]:
    """Return why a checkpoint's weights do not fit a recipe, nothing if they do."""
    try:
        # Anew: a part may have got a setting since, whose default is what the part was before.
        found = completed(manifest.recipe)
    except RecipeError as error:
        return [str(error)]
    return differing_parts(found, recipe)


def _new_lineage(spec: RoundSpec, recipe: Recipe, registry: Registry) -> str:
    """Return why training begins anew though there is a checkpoint, empty if there is none."""
    trunk_id = spec.trunk_id or registry.trunk() or spec.parent_id
    if trunk_id is None:
        return ""
    manifest = registry.manifest(trunk_id)
    odd = "; ".join(_differences(manifest, recipe)) or "it was trained for another body"
    return (
        f"a new lineage of the recipe {recipe.name!r} begins, {trunk_id} of "
        f"{manifest.recipe.name!r} does not fit: {odd}"
    )
