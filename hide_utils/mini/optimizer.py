"""Muon for matrices and AdamW for the rest, on float32 masters that a model's parameters follow.

On a GPU the parameters are bfloat16, so that small steps would be lost without the masters. On a CPU both are float32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Parameters = Mapping[str, torch.nn.Parameter]
_BETAS, _MOMENTUM, _DECAY = (0.9, 0.98), 0.95, 0.01


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices ``(n, rows, columns)`` with all singular values moved near 1, by five Newton-Schulz steps.

    The coefficients are those of Muon's authors (Jordan et al., 2024).
    """
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class _Matrices:
    """Parameters of one shape, which Muon steps together."""

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.master = torch.stack([p.detach().float() for p in parameters])
        self.momentum = torch.zeros_like(self.master)

    def step(self, rate: float) -> None:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        gradient = torch.stack(gradients).float()
        self.momentum.lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonalized(gradient.lerp(self.momentum, _MOMENTUM))
        length = 0.2 * math.sqrt(max(self.master.shape[1:]))  # as long as a step of AdamW
        self.master.mul_(1 - _DECAY * rate).sub_(update * (length * rate))


class Optimizer:
    """Steps parameters by the gradients that they hold.

    Args:
        parameters: by name, in float32 or still as they are to begin.
    """

    def __init__(self, parameters: Parameters) -> None:
        shapes: dict[tuple, list[torch.nn.Parameter]] = {}
        self._rest: list[torch.nn.Parameter] = []
        for name, p in parameters.items():
            if p.ndim == 2 and name.endswith(".weight") and "embed" not in name:
                shapes.setdefault((tuple(p.shape), ".visual." in name), []).append(p)
            else:
                self._rest.append(p)
        self._matrices = [_Matrices(group) for group in shapes.values()]
        self._masters = [torch.nn.Parameter(p.detach().float().clone()) for p in self._rest]
        fused = self._masters[0].is_cuda
        self._adam = torch.optim.AdamW(self._masters, betas=_BETAS, weight_decay=0.0, fused=fused)

    @torch.no_grad()
    def step(self, muon: float, adam: float) -> None:
        """Step at the two learning rates, let the parameters follow, and clear their gradients."""
        for group in self._matrices:
            group.step(muon)
        for p, master in zip(self._rest, self._masters, strict=True):
            master.grad = torch.zeros_like(master) if p.grad is None else p.grad.float()
        torch.nn.utils.clip_grad_norm_(self._masters, 1.0)
        for options in self._adam.param_groups:
            options["lr"] = adam
        self._adam.step()
        self._follow()

    def _follow(self) -> None:
        """Copy the masters into the parameters, and clear the gradients."""
        pairs = list(zip(self._rest, self._masters, strict=True))
        pairs += [pair for group in self._matrices for pair in zip(group.parameters, group.master, strict=True)]
        parameters, masters = zip(*pairs, strict=True)
        torch._foreach_copy_(parameters, masters)
        for p in parameters:
            p.grad = None

    def state(self) -> dict[str, Tensor]:
        """Everything that a run needs to go on, by name."""
        out: dict[str, Tensor] = {}
        for i, group in enumerate(self._matrices):
            out |= {f"muon.{i}.master": group.master, f"muon.{i}.momentum": group.momentum}
        for i, master in enumerate(self._masters):
            out[f"adam.{i}.master"] = master.detach()
            out |= {f"adam.{i}.{name}": value for name, value in self._adam.state[master].items()}
        return out

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned, for parameters of the same names and shapes."""
        for i, group in enumerate(self._matrices):
            group.master.copy_(state[f"muon.{i}.master"])
            group.momentum.copy_(state[f"muon.{i}.momentum"])
        for i, master in enumerate(self._masters):
            master.copy_(state[f"adam.{i}.master"])
            names = [name for name in ("step", "exp_avg", "exp_avg_sq") if f"adam.{i}.{name}" in state]
            self._adam.state[master] = {name: state[f"adam.{i}.{name}"].to(master.device) for name in names}
        self._follow()
