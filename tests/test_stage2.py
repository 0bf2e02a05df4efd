"""What the denoiser is trained on: codes, sentences reworded and mirror images; and its optimisers."""

import numpy as np
import pytest
import torch
from small_run import LABEL, SENTENCES, ThreeMotions, a_run

from nerm.conditions import LABEL as BY_LABEL
from nerm.conditions import NOTHING, TEXT, Conditions, conditions_of, reworded
from nerm.data.dataset import Item
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.model import load_nerm
from nerm.settings import Stage2Config
from nerm.stage2 import DenoiserModule, DenoiserTask, train_denoiser
from nerm.text import PACKAGED, load_text_encoder
from nerm.training import Budget
from nerm.words import mirror_caption


def sentences_of(texts):
    """Conditions of the sentences [labels, 2, sentences, d] alone."""
    count, nothing = len(texts), torch.zeros(0, dtype=torch.long)
    sides = torch.zeros(count, texts.shape[2], dtype=torch.long)
    return Conditions([], nothing, nothing, texts, torch.full((count,), texts.shape[2]), sides, torch.zeros(count, dtype=torch.bool))


def test_sentences_are_reworded_between_those_of_their_label_and_keep_unit_length():
    texts = torch.nn.functional.normalize(torch.randn(3, 2, 5, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    group, mirrored, sentence = torch.tensor([0, 1, 2] * 40), torch.tensor([0, 1] * 60), torch.arange(120) % 5
    plain = reworded(sentences_of(texts), group, mirrored, sentence, 0.0, torch.Generator().manual_seed(1))
    assert torch.allclose(plain.norm(dim=-1), torch.ones(120), atol=1e-5)
    likeness = torch.einsum("bd,lmsd->blms", plain, texts)
    own = likeness[torch.arange(120), group, mirrored, sentence]
    assert own.min() > 0.6 and (own < 0.99).any()  # half way to another sentence at most
    nearest = likeness.flatten(1).argmax(1)
    assert torch.equal(nearest // 10, group) and torch.equal(nearest % 10 // 5, mirrored)
    noisy = reworded(sentences_of(texts), group, mirrored, sentence, 0.8, torch.Generator().manual_seed(1))
    assert (noisy * plain).sum(-1).mean() < 0.9


def small_task(one_sided: bool = False) -> DenoiserTask:
    """Two labels, of which the second is of the right side; three windows, the last one without a label."""
    task = DenoiserTask.__new__(DenoiserTask)
    task.config = Stage2Config(text_noise=0.0, one_sided=one_sided)
    task.codes, task.seconds = torch.randn(3, 4), torch.tensor([2.0, 3.0, 4.0])
    texts = torch.tensor([[[1.0, 0, 0], [1, 0, 0]], [[0, 1, 0], [0, 0, 1]]])[:, :, None].expand(-1, -1, 5, -1)
    place = torch.tensor([0, 1, -1])
    sides = torch.tensor([[0] * 5, [-1] * 5])
    task.conditions = Conditions(["one", "two"], place, place, texts, torch.tensor([5, 5]), sides, torch.tensor([False, True]))
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
            assert torch.allclose(drawn, task.conditions.texts[name, int(side), :1].expand(len(drawn), -1))
    by_label, by_text = kind == BY_LABEL, kind == TEXT
    assert not (by_label & mirrored & (index == 1)).any() and (by_label & mirrored & (index == 0)).any()
    assert not (by_label | by_text)[index == 2].any()  # a window without a label has no condition
    assert torch.equal(label, task.conditions.label[index])


def test_sentences_of_the_right_are_learned_as_those_of_the_left_of_the_mirrored_motion():
    task = small_task(one_sided=True)
    index = torch.arange(3).repeat(2000)
    z, _, _, _, text, _, kind = task.conditioned(index, torch.Generator().manual_seed(0))
    mirrored = z[:, -1] < 0
    by_label, by_text = kind == BY_LABEL, kind == TEXT
    assert mirrored[by_text & (index == 1)].all() and not mirrored[by_label & (index == 1)].any()
    assert torch.equal(text[by_text & (index == 1)], task.conditions.texts[1, 1, :1].expand(int((by_text & (index == 1)).sum()), -1))
    for free in (index == 0, index == 2):  # no side, and no condition
        assert 0.45 < mirrored[free].float().mean() < 0.55
    assert 0.2 < by_label[index == 1].float().mean() < 0.35


def test_durations_are_those_of_a_windows_middle_part():
    task = small_task()
    index = torch.arange(3).repeat(500)
    seconds = task.conditioned(index, torch.Generator().manual_seed(0)).seconds
    share = seconds / task.seconds[index]
    assert share.max() <= 1 and share.min() >= 1 - task.config.crop and share.std() > 0.2 * task.config.crop


@pytest.mark.parametrize("crop", [-0.1, 1.0])
def test_a_crop_that_is_no_share_is_refused(crop):
    with pytest.raises(InputError, match="expected a share of a window's duration"):
        DenoiserTask(Stage2Config(crop=crop), None, torch.zeros(1, 4), [])


def test_a_space_of_less_than_no_dimensions_is_refused():
    with pytest.raises(InputError, match=r"stage2\.sentence_space=-1; expected a number of dimensions"):
        DenoiserTask(Stage2Config(sentence_space=-1), None, torch.zeros(1, 4), [])


def test_batches_are_drawn_from_all_windows():
    task = small_task()
    z = task.batch(torch.Generator().manual_seed(0), progress=0.5)[0]
    assert len(z) == task.config.batch
    assert all((z[:, :-1] == code).all(-1).any() for code in task.codes)


def test_details_weigh_more_in_the_loss_than_in_distances_of_poses():
    config = Stage2Config(denoiser=DenoiserConfig(latent=3, width=8, layers=1))
    weight = DenoiserModule(config, torch.tensor([1.6, 0.4]), torch.tensor([config.mirror_weight])).weight
    assert torch.allclose(weight, torch.tensor([4 / 3, 2 / 3, config.mirror_weight]), atol=1e-5)


def test_matrices_between_hidden_layers_are_all_that_muon_gets():
    for architecture, count in (("mlp", 8), ("transformer", 12)):
        denoiser = Denoiser(DenoiserConfig(architecture=architecture, latent=9, width=32, layers=3, labels=2))
        matrices = denoiser.matrices()
        assert len(matrices) == count and all(p.ndim == 2 for p in matrices)
        outer = {id(p) for p in (denoiser.network.enter.weight, denoiser.network.leave.weight)}
        assert not outer & {id(p) for p in matrices}


# ---- conditions of any dataset ----


def item(name: str, label: str = "", captions: tuple[str, ...] = ()) -> Item:
    return Item(name, name, 120.0, 2.0, captions, label)


class Numbered:
    """Embeds a sentence as the number of its letters."""

    name, size = "numbered", 1

    def encode(self, texts):
        return np.array([[len(text)] for text in texts], np.float32)


def test_items_of_one_label_with_the_same_captions_are_a_group():
    items = [item("0", "b", ("left foot", "x")), item("1"), item("2", "a", ("walks",)), item("3", "b", ("left foot", "x"))]
    found = conditions_of(items, Numbered(), 1)
    assert found.labels == ["a", "b"] and found.label.tolist() == [1, -1, 0, 1] and found.group.tolist() == [1, -1, 0, 1]
    assert found.sentences.tolist() == [1, 2] and found.sided.tolist() == [False, True] and found.side.tolist() == [[0, 0], [1, 0]]
    assert found.texts[..., 0].tolist() == [[[5, 5], [5, 5]], [[9, 1], [10, 1]]]  # one sentence is repeated; 'left' becomes 'right'


def test_captions_without_labels_are_trained_on_as_sentences_and_labels_without_captions_as_labels():
    spoken = conditions_of([item("0", captions=("a person walks",))], Numbered(), 1)
    assert spoken.labels == [] and spoken.group.tolist() == [0] and spoken.label.tolist() == [-1]
    named = conditions_of([item("0", "kick left"), item("1", "walk")], None, 7)
    assert named.texts.shape == (2, 2, 1, 7) and named.sentences.tolist() == [0, 0] and named.sided.tolist() == [True, False]
    for known, kinds in ((spoken, {NOTHING, TEXT}), (named, {NOTHING, BY_LABEL})):
        task = DenoiserTask.__new__(DenoiserTask)
        task.config, task.conditions = Stage2Config(), known
        task.codes, task.seconds = torch.zeros(len(known.label), 4), torch.ones(len(known.label))
        batch = task.batch(torch.Generator().manual_seed(0), 0.5)
        assert set(batch.kind.tolist()) == kinds
    mirrored = batch.z[:, -1] < 0
    assert not (mirrored & (batch.label == 0) & (batch.kind == BY_LABEL)).any()  # a label with a side of its own


SMALL = Stage2Config(denoiser=DenoiserConfig(width=16, layers=1), batch=8, sampling_steps=2)


def test_a_dataset_trains_with_its_own_captions_and_labels(tmp_path, capsys):
    a_run(tmp_path)
    train_denoiser(ThreeMotions(), SMALL, Budget(steps=2, device="cpu"), tmp_path)
    system = load_nerm(tmp_path / "nerm.safetensors")
    assert system.labels == [LABEL] and system.trained_on == "three motions" and system.stage2.denoiser.text == system.stage2.sentence_space
    assert "no captions" not in capsys.readouterr().err
    assert len(system.sample([Condition(text=SENTENCES[0]), Condition(label=LABEL)], [1.0, 1.0], 20.0, [0, 1])) == 2


def test_a_dataset_without_captions_and_labels_trains_without_conditions_and_says_so(tmp_path, capsys):
    a_run(tmp_path)
    train_denoiser(ThreeMotions((), ""), SMALL, Budget(steps=2, device="cpu"), tmp_path)
    system = load_nerm(tmp_path / "nerm.safetensors")
    warnings = capsys.readouterr().err
    assert "dataset 'three' have no captions" in warnings and "dataset 'three' have no labels" in warnings
    assert system.labels == [] and len(system.sample([Condition()], [1.0], 20.0, [0])) == 1


@pytest.mark.parametrize("encoder", PACKAGED)
def test_shipped_embeddings_hold_the_mirror_image_of_every_training_sentence(encoder):
    known = load_text_encoder(encoder)._shipped
    assert all(text in known and mirror_caption(text) in known for text in SENTENCES)


def test_the_shipped_embeddings_are_those_of_the_network():
    encoder = load_text_encoder("mpnet")
    try:
        exact = encoder.compute(SENTENCES[:3])
    except InputError as error:
        pytest.skip(str(error))
    assert (exact * encoder.encode(SENTENCES[:3])).sum(-1).min() > 0.99


def test_only_the_leading_coordinates_that_are_kept_are_denoised(tmp_path):
    a_run(tmp_path)
    settings = Stage2Config(DenoiserConfig(width=16, layers=1, last=16), keep=2, batch=4, sampling_steps=2, sentence_space=8)
    train_denoiser(ThreeMotions(), settings, Budget(steps=2, device="cpu", precision="no"), tmp_path)
    system = load_nerm(tmp_path / "nerm.safetensors")
    assert system.denoiser.config.latent == 3 and system.back.shape == (2, 16)
    assert system.sample_codes([Condition(text=SENTENCES[0])], [2.0], [0])[0]["z"].shape == (16,)
