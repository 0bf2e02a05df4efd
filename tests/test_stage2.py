"""What the denoiser is trained on: codes, sentences reworded and mirror images; and its optimisers."""

import pytest
import torch

from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.errors import InputError
from nerm.settings import Stage2Config
from nerm.stage2 import LABEL, TEXT, DenoiserTask


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


def small_task() -> DenoiserTask:
    """Two labels, of which the second has a side; three windows, the last one without a label."""
    task = DenoiserTask.__new__(DenoiserTask)
    task.config = Stage2Config(text_noise=0.0)
    task.codes, task.seconds, task.label = torch.randn(3, 4), torch.tensor([2.0, 3.0, 4.0]), torch.tensor([0, 1, -1])
    task.texts = torch.tensor([[[1.0, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]])[:, :, None].expand(-1, -1, 5, -1)
    task.sentences, task.sided = torch.tensor([5, 5]), torch.tensor([False, True])
    return task


def test_a_mirrored_code_comes_with_the_mirrored_sentence_and_never_with_the_label_of_the_other_side():
    task = small_task()
    index = torch.arange(3).repeat(2000)
    z, _, _, _, text, label, kind = task.conditioned(index, torch.Generator().manual_seed(0))
    mirrored = z[:, -1] < 0
    assert torch.equal(z[:, :-1], task.codes[index]) and 0.45 < mirrored.float().mean() < 0.55
    for name in (0, 1):
        for side in (False, True):
            drawn = text[(index == name) & (mirrored == side)]
            assert torch.allclose(drawn, task.texts[name, int(side), :1].expand(len(drawn), -1))
    by_label, by_text = kind == LABEL, kind == TEXT
    assert not (by_label & mirrored & (index == 1)).any() and (by_label & mirrored & (index == 0)).any()
    assert not (by_label | by_text)[index == 2].any()  # nothing is said of a window without a label
    assert torch.equal(label, task.label[index])


def test_durations_are_those_of_a_windows_middle_part():
    task = small_task()
    index = torch.arange(3).repeat(500)
    seconds = task.conditioned(index, torch.Generator().manual_seed(0))[3]
    share = seconds / task.seconds[index]
    assert share.max() <= 1 and share.min() >= 1 - task.config.crop and share.std() > 0.2 * task.config.crop


@pytest.mark.parametrize("crop", [-0.1, 1.0])
def test_a_crop_that_is_no_share_is_refused(crop):
    with pytest.raises(InputError, match="expected a share of a window's duration"):
        DenoiserTask(Stage2Config(crop=crop), None, torch.zeros(1, 4), torch.tensor([0]), None)


def test_batches_are_drawn_from_all_windows():
    task = small_task()
    z = task.batch(torch.Generator().manual_seed(0), progress=0.5)[0]
    assert len(z) == task.config.batch
    assert all((z[:, :-1] == code).all(-1).any() for code in task.codes)


def test_details_weigh_more_in_the_loss_than_in_distances_of_poses():
    from nerm.stage2 import DenoiserModule

    config = Stage2Config(denoiser=DenoiserConfig(latent=3, width=8, layers=1))
    weight = DenoiserModule(config, torch.tensor([1.6, 0.4])).weight
    assert torch.allclose(weight, torch.tensor([4 / 3, 2 / 3, config.mirror_weight]), atol=1e-5)


def test_matrices_between_hidden_layers_are_all_that_muon_gets():
    for architecture, count in (("mlp", 8), ("transformer", 12)):
        denoiser = Denoiser(DenoiserConfig(architecture=architecture, latent=9, width=32, layers=3, labels=2))
        found = denoiser.matrices()
        assert len(found) == count and all(p.ndim == 2 for p in found)
        outer = {id(p) for p in (denoiser.network.enter.weight, denoiser.network.leave.weight)}
        assert not outer & {id(p) for p in found}
