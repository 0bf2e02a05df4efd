"""Muon: the steps of torch's own, orthogonalised in the precision that the processor is fast in."""

import pytest
import torch
from torch import nn

from nerm.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (48, 16), (16, 48)])
def test_steps_are_those_of_torch_as_far_as_bfloat16_is_exact(shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator)
    gradients = [torch.randn(shape, generator=generator) for _ in range(4)]
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    pair = [
        (ours, Muon([ours], lr=0.1)),
        (theirs, torch.optim.Muon([theirs], lr=0.1, momentum=0.95, weight_decay=0.0, adjust_lr_fn="original")),
    ]
    for gradient in gradients:
        for parameter, optimizer in pair:
            parameter.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert moved > 0.1
    assert (ours - theirs).norm() < 0.03 * moved


def test_singular_values_come_near_one():
    values = torch.linalg.svdvals(orthogonal(torch.randn(40, 20, generator=torch.Generator().manual_seed(1))).float())
    assert values.min() > 0.6 and values.max() < 1.3


def test_a_parameter_without_a_gradient_stays_and_a_vector_is_refused():
    matrix = nn.Parameter(torch.ones(2, 3))
    Muon([matrix], lr=1.0).step()
    assert torch.equal(matrix.data, torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"shape \[3\]; Muon trains matrices"):
        Muon([nn.Parameter(torch.zeros(3))], lr=1.0)
