"""Training LeWM: our recipe against the reference classes, on the same tensors.

    PYTHONPATH=<folder with stable-worldmodel> python tests/bench/bench_training.py [--rounds N]

Both train the same architecture: a ViT on 64 px with patches of 8, width 128 and 4 layers, a
projector with batch normalisation, a causal predictor of 3 layers over 3 latents, SIGReg on 1024
directions, AdamW and a clipped gradient, on one thread. Updates of both take turns within one run,
so that neighbours on the machine slow both alike: read the ratio. Once in float32 and once in
bfloat16, which the source trains in (the reference under torch's autocast, all of its forward pass
and its loss). Without stable-worldmodel only our rows are shown. Prints a table, asserts nothing
about seconds.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from configs.recipes import load_recipe
from learners.batch import IMAGE_CHANNELS, INPUT_PX, Windows
from learners.losses import sigreg
from learners.recipes.train import begin

WIDTH, LAYERS, HEADS, PATCH_PX = 128, 4, 4, 8
DEPTH, FRAMES, HISTORY = 3, 4, 3
PROJECTOR = 256
DIRECTIONS = 1024
LEARNING_RATE, WEIGHT_DECAY, CLIP = 5e-4, 1e-3, 1.0
SIGREG = 0.09

Update = Callable[[], object]


def windows_of(batch: int, rng: np.random.Generator) -> Windows:
    """Return noise: speed does not depend on what is seen."""
    image = rng.standard_normal((batch, FRAMES, INPUT_PX, INPUT_PX, IMAGE_CHANNELS), np.float32)
    action = torch.from_numpy(rng.standard_normal((batch, FRAMES, 2), np.float32))
    none = torch.zeros(batch, FRAMES, 0)
    return Windows(
        image=torch.from_numpy(image).permute(0, 1, 4, 2, 3),
        ego=none,
        action=action,
        command=action,
        geometry=none,
        valid=none.bool(),
        slots=none.long(),
    )


def ours(windows: Windows, precision: str) -> tuple[nn.Module, Update]:
    """Return our model and a function that takes one optimiser step."""
    recipe = load_recipe("lewm")
    changed = recipe.training.model_copy(update={"precision": precision})
    training = begin(recipe.model_copy(update={"training": changed}), 0)
    generator = torch.Generator().manual_seed(0)
    return training.updater.model, lambda: training.updater.step(windows, generator, 0.5)


def declare_missing_operators() -> torch.library.Library:
    """Let torchvision's CUDA build be imported where torch has no CUDA; nothing here calls them.

    Returns:
        What has to be kept: the names go with it.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    for signature in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        library.define(signature)
    return library


def reference(windows: Windows, precision: str) -> tuple[nn.Module, Update] | None:
    """Return the reference's model and its step; None where it is not installed."""
    kept = declare_missing_operators()
    try:
        from stable_worldmodel.wm.lewm import LeWM
        from stable_worldmodel.wm.lewm.module import MLP, Embedder, Predictor
        from stable_worldmodel.wm.loss import SIGReg
        from transformers import ViTConfig, ViTModel
    except ImportError:
        return None
    del kept
    torch.manual_seed(0)
    encoder = ViTModel(
        ViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            image_size=INPUT_PX,
            patch_size=PATCH_PX,
            num_channels=IMAGE_CHANNELS,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        add_pooling_layer=False,
    )
    model = LeWM(
        encoder=encoder,
        predictor=Predictor(
            num_frames=HISTORY,
            depth=DEPTH,
            heads=HEADS,
            dim_head=WIDTH // HEADS,
            mlp_dim=4 * WIDTH,
            input_dim=WIDTH,
            hidden_dim=WIDTH,
        ),
        action_encoder=Embedder(input_dim=2, smoothed_dim=2, emb_dim=WIDTH),
        projector=MLP(WIDTH, PROJECTOR, WIDTH, norm_fn=nn.BatchNorm1d),
        pred_proj=MLP(WIDTH, PROJECTOR, WIDTH, norm_fn=nn.BatchNorm1d),
    )
    regulariser = SIGReg(num_proj=DIRECTIONS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)

    def forward() -> Tensor:
        made = model.encode({"pixels": windows.image, "action": windows.action})
        z = made["emb"]
        predicted = model.predict(z[:, :HISTORY], made["act_emb"][:, :HISTORY])
        return (predicted - z[:, 1:]).square().mean() + SIGREG * regulariser(z.transpose(0, 1))

    def update() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = forward()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()

    return model, update


def take_turns(updates: dict[str, Update], rounds: int) -> dict[str, np.ndarray]:
    """Return CPU seconds of every round; the first round warms up and is left out."""
    spent: dict[str, list[float]] = {name: [] for name in updates}
    for number in range(rounds + 1):
        for name, update in updates.items():
            began = time.process_time()
            update()
            if number:
                spent[name].append(time.process_time() - began)
    return {name: np.array(seconds) for name, seconds in spent.items()}


def measure(table: Table, precision: str, batch: int, rounds: int) -> None:
    """Add the rows of one precision."""
    windows = windows_of(batch, np.random.default_rng(0))
    found = {"agentd": ours(windows, precision), "stable-worldmodel": reference(windows, precision)}
    there = {name: made for name, made in found.items() if made is not None}
    spent = take_turns({name: update for name, (_, update) in there.items()}, rounds)
    for name, (model, _) in there.items():
        ratio = spent[name] / spent["agentd"]
        low, middle, high = np.percentile(ratio, [10, 50, 90])
        table.add_row(
            name,
            precision,
            f"{sum(p.numel() for p in model.parameters()) / 1e6:.3f} M",
            f"{batch / np.median(spent[name]):.1f}",
            f"{np.median(spent[name]) * 1e3:.0f}",
            f"{middle:.2f} [{low:.2f}, {high:.2f}]" if name != "agentd" else "1",
        )
    if "stable-worldmodel" not in there:
        table.add_row("stable-worldmodel", precision, "not installed", "", "", "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12, help="updates of each that are counted")
    parser.add_argument("--batch", type=int, default=64, help="windows of 4 frames")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sigreg.NUM_SLICES = DIRECTIONS
    title = f"{options.batch} windows x {FRAMES} frames, one thread (load {os.getloadavg()[0]:.0f})"
    table = Table(title=title)
    for column in ("trainer", "precision", "weights", "windows/CPU-s", "CPU ms/update"):
        table.add_column(column, justify="right")
    table.add_column("CPU, agentd = 1 [10 %, 90 %]", justify="right")
    for precision in ("float32", "bfloat16"):
        measure(table, precision, options.batch, options.rounds)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
