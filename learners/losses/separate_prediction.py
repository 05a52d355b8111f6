"""One-step prediction that does not shape the latents.

    L = mean over b, t, d of ( P(sg z_t, a_t) - sg z_{t+1} )^2

The source trains the encoder, freezes it, and trains the predictor then; here both learn at the
same time and share no gradient, so the predictor ends with the encoder that it ends with.

References:
    Destrade et al. 2026, arXiv:2601.00844, section 3 ("Sep").
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from learners.losses.forward import Forward


def separate_prediction(fwd: Forward) -> Float[Tensor, ""]:
    """Return the mean squared one-step error."""
    z = fwd.z.detach()
    predicted = fwd.model.predict(z[:, :-1], fwd.windows.command[:, :-1])
    return functional.mse_loss(predicted, z[:, 1:])
