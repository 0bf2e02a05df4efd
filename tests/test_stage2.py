"""What the denoiser is trained on: sentences reworded, and its optimisers."""

import torch

from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.stage2 import DenoiserTask, Stage2Config


def task_of(texts, noise):
    """A task with the sentences [labels, 2, sentences, d] alone."""
    task = DenoiserTask.__new__(DenoiserTask)
    task.config = Stage2Config(text_noise=noise)
    task.texts, task.sentences = texts, torch.full((len(texts),), texts.shape[2])
    return task


def test_sentences_are_reworded_between_those_of_their_label_and_keep_unit_length():
    texts = torch.nn.functional.normalize(torch.randn(3, 2, 5, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    row, mirrored, sentence = torch.tensor([0, 1, 2] * 40), torch.tensor([0, 1] * 60), torch.arange(120) % 5
    said = task_of(texts, 0.0)._reworded(row, mirrored, sentence, torch.Generator().manual_seed(1))
    assert torch.allclose(said.norm(dim=-1), torch.ones(120), atol=1e-5)
    likeness = torch.einsum("bd,lmsd->blms", said, texts)
    own = likeness[torch.arange(120), row, mirrored, sentence]
    assert own.min() > 0.6 and (own < 0.99).any()  # half way to another sentence at most
    nearest = likeness.flatten(1).argmax(1)
    assert torch.equal(nearest // 10, row) and torch.equal(nearest % 10 // 5, mirrored)
    noisy = task_of(texts, 0.8)._reworded(row, mirrored, sentence, torch.Generator().manual_seed(1))
    assert (noisy * said).sum(-1).mean() < 0.9


def test_matrices_between_hidden_layers_are_all_that_muon_gets():
    for architecture, count in (("mlp", 7), ("transformer", 12)):
        denoiser = Denoiser(DenoiserConfig(architecture=architecture, latent=9, width=32, layers=3, labels=2))
        found = denoiser.matrices()
        assert len(found) == count and all(p.ndim == 2 for p in found)
        outer = {id(p) for p in (denoiser.network.enter.weight, denoiser.network.leave.weight)}
        assert not outer & {id(p) for p in found}
