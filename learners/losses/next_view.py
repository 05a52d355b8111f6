"""The view that follows several others, after a known motion.

    L = mean over b, s of 1 - cos( y^_s, sg(z-_{s + views * stride}) )

y^ comes from the aggregate of the views and the motion that leads on from the last; z- is the
target's latent of the next view.

References:
    Ghaemi et al. 2025, arXiv:2505.03176, section 3.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward
from learners.parts.aggregate import Gathered
from learners.parts.targets import target_tokens


def gathered(fwd: Forward) -> Gathered:
    """Return the sequences of views of all windows; use as `fwd.once(gathered)`."""
    found: Gathered = fwd.model.aggregate(fwd.z, fwd.windows.command)
    return found


def next_view(fwd: Forward) -> Float[Tensor, ""]:
    """Return one less the mean cosine between predicted and seen."""
    target = fwd.once(target_tokens).z[:, fwd.model.aggregate.reach :].detach()
    return 1 - functional.cosine_similarity(fwd.once(gathered).next_z, target, dim=-1).mean()
