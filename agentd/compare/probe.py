"""One checkpoint of the daemon on held-out windows of its life as it is now."""

from typing import Any

from agentd.compare.data import of_life
from agentd.home import Home
from configs.schema import AgentConfig
from learners.checkpoint import load_model
from learners.probes import probe
from learners.recipes.run import probe_set
from learners.registry import Registry
from memory.replay.store import LanceReplay


def probe_checkpoint(home: Home, config: AgentConfig, checkpoint_id: str) -> dict[str, Any]:
    """Return the probes that the gate takes, on windows of the life's newest version.

    Args:
        home: The life; it may be running.
        config: Its settings.
        checkpoint_id: As the registry names it.

    Raises:
        CheckpointError: If there is no such checkpoint, or it is damaged.
        NotEnoughDataError: If nothing was held out yet.
    """
    registry = Registry(home.checkpoints_folder)
    manifest = registry.manifest(checkpoint_id)
    model = load_model(registry.path(manifest.id), manifest)
    data = of_life(home, config, manifest.body)
    store = LanceReplay(data.memory_folder, data.replay)
    try:
        probes, graph = probe_set(store.at_version(data.version), data)
    finally:
        store.close()
    return {
        "checkpoint": manifest.id,
        "steps": data.version,
        "trained_on": list(manifest.rows),
        "now": probe(model, probes, graph, data.seed).metrics,
        "then": manifest.metrics,
    }
