"""One optimiser step: batch in, named losses out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from learners.batch import Windows
from learners.devices import CPU, made_on, to_device
from learners.losses.across import ALONE, Across, average_gradients
from learners.losses.forward import Forward
from learners.losses.prediction import window_errors
from learners.losses.total import total_loss, weights_for
from learners.parts.shared_norm import share_statistics
from learners.precision import InBfloat16, Precision
from learners.recipes.model import ComposedModel
from learners.recipes.spec import Recipe

WARM_UP = 0.05
"""Share of the planned updates in which the learning rate rises."""

COOL_DOWN = 0.4
"""Share at the end in which it falls; the candidate is judged at the end."""

_LAST_RATE = 0.03
_STATE = ("step", "exp_avg", "exp_avg_sq")


class NotFiniteError(ArithmeticError):
    """A loss or a gradient is not finite; names which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one optimiser step saw.

    Attributes:
        losses: The unweighted losses, and the gradient's norm.
        window_error: One-step prediction error of each window before the step; None if prediction
            is no loss.
    """

    losses: dict[str, float]
    window_error: Float32[np.ndarray, "b"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Updater:
    """Steps a model; holds the optimiser and nothing else that changes.

    Attributes:
        model: A composed recipe.
        optimizer: Of its parameters.
        losses: Weight of each loss, for a batch of `BATCH_OF_WEIGHTS` where that matters.
        learning_rate: At its highest.
        grad_clip: Norm that the gradient is scaled down to.
        after_step: Called with the progress after each step, for targets that follow.
        frozen: Parts that stay as they are, statistics of normalisation included.
        across: Who holds the rest of each batch; all of them take the same step.
        precision: Of the products inside of the model's parts.
        accumulate: Batches whose gradients make one step.
        device: Where the model is; batches are brought there.
    """

    model: nn.Module
    optimizer: torch.optim.AdamW
    losses: Mapping[str, float]
    learning_rate: float
    grad_clip: float
    after_step: Callable[[float], None] = lambda _: None
    frozen: Sequence[nn.Module] = ()
    across: Across = ALONE
    precision: Precision = "float32"
    accumulate: int = 1
    device: torch.device = CPU

    def step(self, windows: Windows, generator: torch.Generator, progress: float) -> Step:
        """Take one step.

        Args:
            windows: The batch.
            generator: Source of randomness of the losses.
            progress: Share of the round's updates already taken, 0 to 1.

        Raises:
            NotFiniteError: If a loss or the gradient is not finite; the weights are untouched.
        """
        return self.step_of(lambda: windows, generator, progress)

    def step_of(
        self, draw: Callable[[], Windows], generator: torch.Generator, progress: float
    ) -> Step:
        """Take one step on as many batches as its gradient is made of, one after the other.

        Args:
            draw: Returns the next batch.
            generator: Source of randomness of the losses, on the model's device.
            progress: Share of the round's updates already taken, 0 to 1.

        Returns:
            Means over the batches, and the errors of the last of them.

        Raises:
            NotFiniteError: If a loss or the gradient is not finite; the weights are untouched.
        """
        self.model.train()
        for still in self.frozen:
            still.eval()
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        with made_on(self.device):
            for _ in range(self.accumulate):
                fwd = self._forward(draw(), generator, progress)
                count = fwd.windows.image.shape[0] * self.across.count
                total, parts = total_loss(fwd, weights_for(self.losses, count))
                (total / self.accumulate).backward()
                sums = {name: sums.get(name, 0) + part for name, part in parts.items()}
            parameters = [p for p in self.model.parameters() if p.requires_grad]
            average_gradients(self.across, parameters)
            norm = torch.nn.utils.clip_grad_norm_(parameters, self.grad_clip)
            losses = self._checked(sums, norm)
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate * group["rate"] * rate_factor(progress)
            self.optimizer.step()
            self.after_step(progress)
            errors = window_errors(fwd).detach() if "prediction" in parts else None
            if errors is not None:
                errors = self.across.whole(errors).cpu()
        return Step(losses=losses, window_error=None if errors is None else errors.numpy())

    def _forward(self, windows: Windows, generator: torch.Generator, progress: float) -> Forward:
        model: nn.Module | InBfloat16 = self.model
        if self.precision == "bfloat16":
            model = InBfloat16(self.model, self.device.type)
        return Forward(model, to_device(windows, self.device), generator, progress, self.across)

    def _checked(self, parts: Mapping[str, Tensor], norm: Tensor) -> dict[str, float]:
        """Return the losses of the whole batch and the gradient's norm.

        Raises:
            NotFiniteError: In all processes alike.
        """
        count = self.accumulate * self.across.count
        means = self.across.total(torch.stack(list(parts.values()))) / count
        # The only time that the processor waits for a graphics card.
        *values, length = torch.cat([means, norm[None].to(means.dtype)]).tolist()
        losses = dict(zip(parts, values, strict=True))
        for name, value in losses.items():
            if not math.isfinite(value):
                raise NotFiniteError(f"the loss {name} is {value}")
        if not math.isfinite(length):
            raise NotFiniteError(f"the gradient's norm is {length}")
        return losses | {"grad_norm": length}


def make_updater(
    model: nn.Module,
    losses: Mapping[str, float],
    *,
    learning_rate: float,
    weight_decay: float,
    grad_clip: float,
    after_step: Callable[[float], None] = lambda _: None,
    rates: Mapping[str, float] | None = None,
    frozen: Sequence[nn.Module] = (),
    across: Across = ALONE,
    precision: Precision = "float32",
    accumulate: int = 1,
    device: torch.device = CPU,
) -> Updater:
    """Return an updater with a fresh optimiser; biases, norms and scalars do not decay.

    Args: as the attributes of `Updater`, and `rates`: of single parts over `learning_rate`.
        Parameters of frozen parts lose their gradient; the model is brought to the device.
    """
    for part in frozen:
        part.requires_grad_(False)
    model.to(device)
    if across.count > 1:
        share_statistics(model, across)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = (rates or {}).get(name.partition(".")[0], 1.0)
            groups.setdefault((rate, parameter.ndim >= 2), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": members, "weight_decay": weight_decay if decays else 0.0, "rate": rate}
            for (rate, decays), members in groups.items()
        ],
        lr=learning_rate,
        fused=True,
    )
    return Updater(
        model=model,
        optimizer=optimizer,
        losses=losses,
        learning_rate=learning_rate,
        grad_clip=grad_clip,
        after_step=after_step,
        frozen=frozen,
        across=across,
        precision=precision,
        accumulate=accumulate,
        device=device,
    )


def updater_for(
    model: ComposedModel,
    recipe: Recipe,
    frozen: Sequence[nn.Module] = (),
    across: Across = ALONE,
    device: torch.device = CPU,
) -> Updater:
    """Return an updater with a fresh optimiser, as a recipe says."""
    spec = recipe.training
    return make_updater(
        model,
        recipe.losses,
        learning_rate=spec.learning_rate,
        weight_decay=spec.weight_decay,
        grad_clip=spec.grad_clip,
        after_step=model.after_step,
        rates=spec.rates,
        frozen=frozen,
        across=across,
        precision=spec.precision,
        accumulate=spec.accumulate,
        device=device,
    )


def rate_factor(progress: float) -> float:
    """Return the learning rate's factor: up, flat, down."""
    rise = min(1.0, (progress + 0.01) / WARM_UP)
    fall = min(1.0, (1.0 - progress) / COOL_DOWN)
    return max(min(rise, fall), _LAST_RATE)


def optimizer_tensors(updater: Updater) -> dict[str, Float[Tensor, "..."]]:
    """Return the optimiser's state by parameter name, for a checkpoint."""
    out = {}
    for name, parameter in updater.model.named_parameters():
        for key, value in updater.optimizer.state.get(parameter, {}).items():
            out[f"{name}.{key}"] = value.detach().cpu().contiguous()
    return out


def load_optimizer(updater: Updater, tensors: dict[str, Float[Tensor, "..."]]) -> None:
    """Restore what `optimizer_tensors` returned."""
    for name, parameter in updater.model.named_parameters():
        state = {k: tensors[f"{name}.{k}"] for k in _STATE if f"{name}.{k}" in tensors}
        updater.optimizer.state[parameter].update(
            # The fused optimiser pairs numbers by their place in memory, so layouts must agree.
            {
                k: v.to(parameter.device, copy=True) if k == "step" else _like(v, parameter)
                for k, v in state.items()
            }
        )


def _like(values: Float[Tensor, "*s"], parameter: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
    """Return a copy in the memory layout of a parameter."""
    return torch.empty_like(parameter).copy_(values).detach()
