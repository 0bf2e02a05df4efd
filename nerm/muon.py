"""Muon: momentum whose every step is made orthogonal, for the matrices of hidden layers (Jordan et al. 2024). It knows matrices alone.

`torch.optim.Muon` does the same, and always orthogonalises in bfloat16. Processors that have no instructions for it take 16 times as long
there as in single precision (a matrix of 640 x 320 on AVX2: 0.99 s instead of 0.06 s), which was nine tenths of a training's time. This
one uses bfloat16 only where it is native.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from nerm.devices import has_bfloat16

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration x -> a x + b x^3 + c x^5 on singular values: it brings them near 1 and does not converge further."""
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, orthogonalised; without weight decay. Of a matrix [m, n] the rate is lr * sqrt(max(1, m / n))."""

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(f"a parameter of shape {list(parameter.shape)}; Muon trains matrices")

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; closure: computes the loss anew, as every optimizer of torch allows."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                momentum = state.setdefault("momentum_buffer", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - MOMENTUM)
                update = orthogonal(parameter.grad.lerp(momentum, MOMENTUM))
                rate = group["lr"] * max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5
                parameter.add_(update.to(parameter.dtype), alpha=-rate)
        return loss


def orthogonal(matrix: Tensor) -> Tensor:
    """[m, n] the matrix with all its singular values brought near 1, by Newton-Schulz iterations."""
    x = matrix.bfloat16() if has_bfloat16(matrix.device) else matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
