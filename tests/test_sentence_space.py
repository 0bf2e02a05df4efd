"""The space in which sentences for one motion are near each other."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from nerm.conditions import Conditions
from nerm.sentence_space import LIKENESS, as_known, enter, sentence_space

GROUPS, SENTENCES, WIDTH, OF_MOTION = 240, 4, 64, 8


def a_language(seed: int = 0) -> Conditions:
    """Embeddings of which the first 8 numbers say which motion is meant, and the others something else."""
    generator = torch.Generator().manual_seed(seed)
    meaning = torch.randn(GROUPS, 1, OF_MOTION, generator=generator).expand(-1, SENTENCES, -1)
    other = 0.7 * torch.randn(GROUPS, SENTENCES, WIDTH - OF_MOTION, generator=generator)
    plain = F.normalize(torch.cat([meaning, other], -1), dim=-1)
    nothing, sides = torch.zeros(0, dtype=torch.long), torch.zeros(GROUPS, SENTENCES, dtype=torch.long)
    counts = torch.full((GROUPS,), SENTENCES)
    return Conditions([], nothing, nothing, torch.stack([plain, -plain], 1), counts, sides, torch.zeros(0, dtype=torch.bool))


def found(texts: torch.Tensor) -> float:
    """Share of groups [g, s, d] whose first sentence is nearer to their second one than to that of any other group."""
    likeness = texts[:, 0] @ texts[:, 1].T
    return float((likeness.argmax(1) == torch.arange(len(texts))).float().mean())


def test_new_sentences_find_those_of_their_motion_that_they_did_not_find_before():
    trained = a_language()
    unseen = a_language(seed=1).texts[:, 0]
    space = sentence_space(trained, 16)
    assert space.shape == (16, WIDTH)
    assert found(unseen) < 0.3 and found(enter(space, unseen)) > 0.9


def test_what_is_read_has_length_1_and_nothing_stays_nothing():
    space = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    entered = enter(space, torch.cat([torch.eye(7), torch.zeros(1, 7)]))
    assert torch.allclose(entered[:-1].norm(dim=-1), torch.ones(7), atol=1e-6)
    assert torch.equal(entered[-1], torch.zeros(5))


def test_a_sentence_is_read_as_the_mean_of_what_it_may_mean():
    meanings = F.normalize(torch.tensor([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0], [0, 0, 1, 0]]), dim=-1)
    asked = F.normalize(torch.tensor([[1.0, 0, 0, 0.5], [0.9, 0.3, 0, 0], [0.1, 0, 1, 2]]), dim=-1)
    read = as_known(asked, meanings)
    assert torch.allclose(read.norm(dim=-1), torch.ones(3)) and torch.equal(read[:, 3], torch.zeros(3))
    weight = torch.exp((asked[1] @ meanings.T) / LIKENESS)
    assert torch.allclose(read[1], F.normalize(weight @ meanings, dim=0), atol=1e-6)
    assert read[0] @ meanings[0] > 0.999 and read[2] @ meanings[2] > 0.999
    assert torch.allclose(as_known(asked, meanings.flip(0)), read, atol=1e-6)


def test_the_same_sentences_give_the_same_space():
    assert torch.equal(sentence_space(a_language(), 8), sentence_space(a_language(), 8))


def test_a_sentence_of_the_right_counts_as_its_mirror_image():
    known = a_language()
    other_side = replace(known, texts=known.texts.flip(1), side=known.side - 1)
    assert torch.equal(sentence_space(known, 8), sentence_space(other_side, 8))


@pytest.mark.parametrize("counts", [[1] * GROUPS, [0, 1, 2, 4] * (GROUPS // 4)])
def test_groups_of_one_sentence_or_none_do_no_harm(counts):
    known = replace(a_language(), sentences=torch.tensor(counts))
    assert sentence_space(known, 8).isfinite().all()
