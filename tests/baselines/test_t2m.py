"""T2M: the outputs of the original, its oddities, and the promises of a generator."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from baselines.cases import Case, read_arrays, read_case
from baselines.t2m.network import CONTACTS, UNIT, VAE_PARTS, T2MConfig, TemporalVAE, estimator_of, initialise, parameter_counts
from baselines.t2m.reproduce import reproduce
from baselines.t2m.system import T2M, draw_snippets, load, load_official, load_saved
from baselines.t2m.words import OWN, WordVectors, own_words
from nerm import checkpoint
from nerm.data.dataset import sentence_of
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.motion import frame_count
from nerm.words import vocabulary

SOURCES = os.environ.get("NERM_SOURCES")
CASES = Path(SOURCES or ".") / "golden" / "t2m_generator"
golden = pytest.mark.skipif(
    SOURCES is None or not CASES.exists(), reason="the cases of the original are not there: set NERM_SOURCES to their folder"
)
# fmt: off
WIDTHS = {
    "dim_word": 10, "dim_text_hidden": 8, "dim_att_vec": 6, "dim_z": 4, "dim_pri_hidden": 12, "dim_pos_hidden": 10, "dim_dec_hidden": 14,
    "dim_movement_enc_hidden": 9, "dim_movement_latent": 8, "dim_movement_dec_hidden": 7,
}
# fmt: on
SENTENCE = "a person walks forward and waves"
LABELS = ["cmu/walk", "hdm05/grabHighR", "hdm05/depositFloorR"]


def networks(**widths):
    torch.manual_seed(0)
    config = T2MConfig(scale="paper", **(WIDTHS | {"length_hidden": 8, "length_width": 16} | widths))
    vae, estimator = TemporalVAE(config).eval(), estimator_of(config).eval()
    initialise(vae)
    initialise(estimator)
    return vae, estimator


@pytest.fixture(scope="module")
def system():
    vae, estimator = networks(dim_word=300)
    random = torch.Generator().manual_seed(1)
    mean = torch.randn(263, generator=random) * 0.01
    mean[3] = 0.9
    return T2M(vae, estimator, own_words(), mean, torch.full((263,), 0.05))


# --- the original ---


@golden
@pytest.mark.parametrize("folder", sorted(CASES.glob("*/")) if CASES.exists() else [], ids=lambda p: p.name)
def test_the_outputs_are_those_of_the_original(folder):
    case = read_case(folder)
    made, expected = reproduce(case), read_arrays(folder / "outputs.npz")
    assert made.keys() == expected.keys()
    for name, values in expected.items():
        limit = case.fixture["outputs"][name]["tolerance"]
        assert made[name].shape == values.shape
        np.testing.assert_allclose(made[name], values, rtol=limit["rtol"], atol=limit["atol"], err_msg=name)


def case_of(vae, config, tmp_path, **inputs):
    """A case in the official layout."""
    torch.save({name: getattr(vae, name).state_dict() for name in VAE_PARTS} | {"ep": 1, "opt_text_enc": {}}, tmp_path / "latest.tar")
    outputs = {name: {} for name in ("motion_mean", "motion_noise", "train_prior_losses", "train_prior_mus_post", "attention_mean")}
    fixture = {"checkpoint": {"file": "latest.tar"}, "outputs": outputs}
    random = np.random.default_rng(0)
    given = {
        "word_embs": random.normal(size=(2, 9, 10)),
        "pos_onehot": np.eye(15)[np.zeros((2, 9), int)],
        "noise_prior": random.normal(size=(5, 2, 4)),
        "train_word_embs": random.normal(size=(3, 9, 10)),
        "train_pos_onehot": np.eye(15)[np.zeros((3, 9), int)],
        "train_motions": random.normal(size=(3, 12, 263)),
        "noise_train_posterior": random.normal(size=(3, 3, 4)),
        "noise_train_prior": random.normal(size=(3, 3, 4)),
    }
    lengths = {"cap_lens": [9, 4], "m_lens": [12, 20], "train_cap_lens": [3, 9, 5], "train_m_lens": [4, 12, 40]}
    arrays = {k: np.asarray(v, np.float32) for k, v in given.items()} | {k: np.array(v) for k, v in lengths.items()} | inputs
    return Case(tmp_path, "t2m_generator", "made", config, fixture, arrays)


def config_of(vae):
    names = [f"{a}_{b}{c}" for b in ("pri", "pos", "dec") for a, c in (("dim", "_hidden"), ("n_layers", ""))]
    movement = ["dim_movement_enc_hidden", "dim_movement_latent", "dim_movement_dec_hidden"]
    widths = {k: getattr(vae.config, k) for k in (*names, *movement, "dim_pose", "dim_word", "dim_pos_ohot")}
    return (
        widths | {k: getattr(vae.config, k) for k in ("dim_text_hidden", "dim_att_vec", "dim_z")} | {"unit_length": 4, "lambda_kld": 0.02}
    )


def test_cases_of_other_sizes_and_depths_are_reproduced_too(tmp_path):
    vae, _ = networks(n_layers_pri=2, n_layers_pos=3, n_layers_dec=2)
    made = reproduce(case_of(vae, config_of(vae), tmp_path))
    assert made["motion_mean"].shape == (2, 20, 263) and (made["motion_mean"][0, 12:] == 0).all()
    assert made["attention_mean"].shape == (2, 9, 5) and (made["attention_mean"][1, 4:] == 0).all()
    assert made["train_prior_mus_post"].shape == (3, 3, 4)
    motion, codes, divergence, total = made["train_prior_losses"]
    np.testing.assert_allclose(total, motion + codes + 0.02 * divergence, rtol=1e-6)
    assert not np.allclose(made["motion_mean"], made["motion_noise"])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"unit_length": 8}, "unit_length=8"), ({"text_enc_mod": "transformer"}, "text_enc_mod"), ({"dim_z": 5}, "mu_net|emb")],
)
def test_a_configuration_that_cannot_be_honoured_is_refused_by_name(tmp_path, change, message):
    vae, _ = networks()
    with pytest.raises(InputError, match=message):
        reproduce(case_of(vae, config_of(vae) | change, tmp_path))


def test_the_paper_scale_has_the_published_parameter_counts():
    config = T2MConfig(scale="paper")
    counts = parameter_counts(TemporalVAE(config))
    assert counts == {
        "text_enc": 3_311_808, "seq_pri": 8_661_248, "seq_post": 9_185_536, "seq_dec": 10_106_368, "att_layer": 1_573_888,
        "mov_enc": 1_842_688, "mov_dec": 1_657_407, "all": 36_338_943,
    }  # fmt: skip
    assert parameter_counts(estimator_of(config))["all"] == 4_008_050


def test_the_backward_half_of_the_words_is_turned_round_within_each_length():
    vae, _ = networks()
    words, classes, lengths = torch.randn(2, 6, 10), torch.zeros(2, 6, 15), torch.tensor([6, 4])
    with torch.no_grad():
        states, _ = vae.text_enc.read(words, classes, lengths)
        made, _ = vae.text_enc(words, classes, lengths)
    assert torch.equal(made[1, 0, 8:], states[1, 3, 8:]) and torch.equal(made[1, :4, :8], states[1, :4, :8])
    assert (made[1, 4:] == 0).all()


def test_a_padded_word_takes_part_with_the_bias_as_value_unless_it_is_said_to_be_absent():
    layer = networks()[0].att_layer
    with torch.no_grad():
        layer.W_v.bias.fill_(3.0)
        keys, values = layer.project(torch.cat([torch.randn(1, 2, 16), torch.zeros(1, 3, 16)], dim=1))
        assert torch.equal(values[0, 2:], layer.W_v.bias.expand(3, -1))
        _, all_words = layer(torch.randn(1, 14), keys, values)
        _, some = layer(torch.randn(1, 14), keys, values, torch.arange(5)[None] >= 2)
    assert (all_words > 0).all() and (some[0, 2:] == 0).all()


def test_the_time_to_arrival_wraps_to_the_end_of_the_table():
    table = networks()[0].seq_pri.positional_encoder
    assert torch.equal(table(torch.tensor([-1])), table(torch.tensor([299])))


# --- the generator ---


def test_any_rate_is_served_and_shares_the_frames_at_20(system):
    slow, fast = (system.sample([Condition(text=SENTENCE)], [3.0], fps, [5])[0] for fps in (20, 60))
    assert len(slow) == 61 and len(fast) == 181 and fast.fps == 60 and slow.joints.shape[1:] == (22, 3)
    np.testing.assert_allclose(fast.joints[::3], slow.joints, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.01, 0.15, 1.0, 2.33, 9.75])
def test_a_motion_has_exactly_the_frames_that_were_asked_for(system, seconds):
    motions = [system.sample([Condition()], [seconds], fps, [0])[0] for fps in (20, 60)]
    assert [len(motion) for motion in motions] == [frame_count(seconds, 20), frame_count(seconds, 60)]
    assert all(np.isfinite(motion.joints).all() for motion in motions)


def test_a_seed_gives_the_same_motion_in_any_batch_and_order(system):
    conditions = [Condition(label=LABELS[k % 2]) if k % 3 else Condition(text=SENTENCE) for k in range(21)]
    seconds = [1.0 + 0.37 * k for k in range(21)]
    together = system.sample(conditions, seconds, 20, range(21))
    backwards = system.sample(conditions[::-1], seconds[::-1], 20, range(21)[::-1])[::-1]
    for k in (0, 4, 20):
        alone = system.sample([conditions[k]], [seconds[k]], 20, [k])[0]
        np.testing.assert_allclose(together[k].joints, alone.joints, atol=1e-5)
        np.testing.assert_allclose(backwards[k].joints, alone.joints, atol=1e-5)
    other = system.sample([conditions[4]], [seconds[4]], 20, [99])[0]
    assert np.abs(other.joints - together[4].joints).max() > 1e-3


def test_generating_together_is_what_the_original_does_one_by_one():
    vae, _ = networks()
    texts = [(torch.randn(n, 10), torch.nn.functional.one_hot(torch.arange(n), 15).float()) for n in (5, 2, 15)]
    noises = [torch.randn(n, 4) for n in (3, 9, 6)]
    for (words, classes), noise, made in zip(texts, noises, vae.generate(texts, noises), strict=True):
        with torch.no_grad():
            states, summary = vae.text_enc(words[None], classes[None], torch.tensor([len(words)]))
            written = vae.unroll(states, summary, torch.tensor([len(noise)]), noise[:, None])
            expected = vae.mov_dec(written.codes)[0]
        torch.testing.assert_close(made.features, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(made.weights, written.weights[0], atol=1e-6, rtol=1e-5)


def test_a_label_is_its_first_training_sentence_and_no_condition_is_no_word(system):
    sentence = Condition(text=sentence_of(LABELS[2], "multirate"))
    label, text = (system.sample([condition], [1.0], 20, [4])[0] for condition in (Condition(label=LABELS[2]), sentence))
    assert np.array_equal(label.joints, text.joints)
    places, _ = system.words.read("")
    assert [vocabulary()[place] for place in places] == ["sos", "eos"]


def test_a_text_is_read_up_to_its_twentieth_word_as_published(system):
    twenty = "walk " * 20
    first, second, third = (
        system.sample([Condition(text=text)], [1.0], 20, [0])[0].joints for text in (twenty, twenty + "backwards slowly", "walk " * 19)
    )
    assert np.array_equal(first, second) and not np.array_equal(first, third)


@pytest.mark.parametrize(
    ("condition", "seconds", "message"),
    [
        (Condition(), 0.0, "positive number of seconds"),
        (Condition(), float("nan"), "positive number of seconds"),
        (Condition(), 9.81, "at most 9.75 s"),
        (Condition(label="cmu/wlak"), 1.0, "has no sentence in dataset"),
        (Condition(text="..."), 1.0, "holds no word"),
    ],
)
def test_a_request_that_cannot_be_met_is_answered(system, condition, seconds, message):
    with pytest.raises(InputError, match=message):
        system.sample([condition], [seconds], 20, [0])


def test_guidance_and_uneven_requests_are_refused(system):
    with pytest.raises(InputError, match="no guidance"):
        system.sample([Condition()], [1.0], 20, [0], guidance=2.5)
    with pytest.raises(InputError, match="one of each"):
        system.sample([Condition()], [1.0, 2.0], 20, [0])
    with pytest.raises(InputError, match="fps"):
        system.sample([Condition()], [1.0], 0, [0])
    assert system.sample([], [], 20, []) == []


def test_the_shipped_scale_reaches_ten_seconds():
    config = T2MConfig()
    assert config.longest >= frame_count(10.0, 20) and config.classes == config.longest // UNIT + 1


# --- the length of a text ---


def test_an_estimated_length_is_one_that_can_be_sampled_and_depends_on_its_own_seed_alone(system):
    texts = [SENTENCE, "a man jumps", SENTENCE]
    seconds = system.estimate_length(texts, [0, 1, 2])
    assert seconds == system.estimate_length(texts[::-1], [2, 1, 0])[::-1]
    assert all(system.readout.frames(length) % UNIT == 0 for length in seconds)
    assert len({system.estimate_length([SENTENCE], [seed])[0] for seed in range(20)}) > 3


def test_a_short_length_is_drawn_again_at_most_twice():
    chances = torch.zeros(50)
    chances[3] = 1.0
    assert draw_snippets(chances, torch.Generator(), 10) == 3
    chances[3], chances[30] = 0.5, 0.5
    drawn = [draw_snippets(chances, torch.Generator().manual_seed(seed), 10) for seed in range(400)]
    assert 0.05 < drawn.count(3) / 400 < 0.20  # 1/8


# --- files ---


def test_what_is_saved_gives_the_same_motions_when_loaded(system, tmp_path):
    system.save(tmp_path / "first.safetensors")
    first = load("t2m", tmp_path / "first.safetensors", "cpu")
    first.save(tmp_path / "second.safetensors")
    second = load("t2m", tmp_path / "second.safetensors", "cpu")
    motions = [s.sample([Condition(text=SENTENCE)], [2.0], 60, [3])[0].joints for s in (first, second)]
    assert np.array_equal(*motions) and len(first.digest) == 64 and first.native_fps == 20.0
    assert first.estimate_length([SENTENCE], [1]) == second.estimate_length([SENTENCE], [1])


def test_the_shipped_scale_is_small_and_saves_no_tables_and_no_word_vectors(tmp_path):
    config = T2MConfig()
    made = T2M(TemporalVAE(config), estimator_of(config), own_words(), torch.zeros(263), torch.ones(263))
    made.save(tmp_path / "t2m.safetensors")
    stored = checkpoint.read(tmp_path / "t2m.safetensors", "t2m")
    sizes, facts = {name: value.numel() for name, value in stored.tensors.items()}, stored.about["facts"]
    assert not [name for name in sizes if name.endswith(".pe")] and max(sizes.values()) < 300_000
    assert sum(sizes.values()) <= 1_600_000 and facts["parameters"] == sum(sizes.values()) - 2 * 263
    assert (tmp_path / "t2m.safetensors").stat().st_size <= 3_250_000
    table = load_saved(tmp_path / "t2m.safetensors").vae.seq_dec.positional_encoder.pe
    assert table.shape == (300, 160) and table.abs().max() <= 1


def test_other_word_vectors_than_those_of_the_training_are_refused(system, tmp_path, monkeypatch):
    other = T2M(system.vae, None, replace(system.words, digest="0" * 64), system.mean, system.std)
    other.save(tmp_path / "t2m.safetensors")
    with pytest.raises(InputError, match="other word vectors"):
        load_saved(tmp_path / "t2m.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / f"{OWN}.safetensors")
    with pytest.raises(InputError, match="no file of word vectors"):
        load_saved(tmp_path / "t2m.safetensors")


def test_a_file_that_is_not_ours_or_not_whole_is_refused(system, tmp_path):
    path = tmp_path / "t2m.safetensors"
    system.save(path)
    (tmp_path / "short.safetensors").write_bytes(path.read_bytes()[:5000])
    save_file({"x": torch.zeros(1)}, tmp_path / "mdm.safetensors", {"system": "mdm"})
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    save_file({"mean": torch.zeros(1)}, tmp_path / "empty.safetensors", {"system": "t2m"})
    messages = {
        "short": "not a whole",
        "mdm": "is a file of 'mdm'; expected one of 't2m'",
        "bare": "lacks the settings",
        "empty": "lacks the settings",
        "none": "does not exist",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            load("t2m", tmp_path / f"{name}.safetensors", "cpu")


def official(folder, change=lambda files: None, **widths):
    """An official run as it lies on disk: checkpoint, statistics, GloVe and length estimator."""
    vae, estimator = networks(**widths)
    run, lengths, glove = folder / "Comp_v6_KLD01", folder / "length_est_bigru" / "model", folder / "glove"
    for place in (run / "model", run / "meta", lengths, glove):
        place.mkdir(parents=True)
    content = {name: getattr(vae, name).state_dict() for name in VAE_PARTS}
    content |= {"opt_text_enc": {"state": {}}, "opt_mov_dec": {}, "ep": 3, "total_it": 4, "sub_ep": 5, "sl_len": 49}
    change(content)
    torch.save(content, run / "model" / "latest.tar")
    torch.save({"estimator": estimator.state_dict(), "opt_estimator": {}, "epoch": 1, "niter": 2}, lengths / "latest.tar")
    for name, value in {"mean": 0.1, "std": 0.05}.items():
        np.save(run / "meta" / f"{name}.npy", np.full(vae.config.dim_pose, value))
    words = ["sos", "eos", "unk", "walk", "a", "person", "left"]
    np.save(glove / "our_vab_data.npy", np.random.default_rng(0).normal(size=(len(words), 10)))
    import pickle

    (glove / "our_vab_words.pkl").write_bytes(pickle.dumps(words))
    (glove / "our_vab_idx.pkl").write_bytes(pickle.dumps({word: row for row, word in enumerate(words)}))
    return run / "model" / "latest.tar", vae


def test_an_official_run_is_loaded_as_it_lies_on_disk(tmp_path):
    path, vae = official(tmp_path, n_layers_dec=2)
    system = load("t2m", path, "cpu")
    assert all(torch.equal(value, vae.state_dict()[name]) for name, value in system.vae.state_dict().items())
    assert system.config.longest == 196 and system.estimator is not None and system.mean[0] == pytest.approx(0.1)
    motion = system.sample([Condition(text="a person walks left")], [2.0], 30, [0])[0]
    assert len(motion) == 61 and np.isfinite(motion.joints).all()
    assert 0 < system.estimate_length(["a person walks"], [0])[0] <= 9.75
    places, _ = system.words.read("a person walks zigzag left")
    assert places.tolist() == [0, 4, 5, 3, 2, 6, 1]  # the lemma of walks; unk


def test_without_its_estimator_an_official_run_samples_and_says_what_it_lacks(tmp_path):
    path, _ = official(tmp_path)
    with_estimator = load_official(path).digest
    (tmp_path / "length_est_bigru" / "model" / "latest.tar").unlink()
    system = load_official(path)
    assert system.digest != with_estimator and len(system.sample([Condition()], [1.0], 20, [0])[0]) == 21
    with pytest.raises(InputError, match="without a length estimator"):
        system.estimate_length(["a person walks"], [0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("seq_pri"), "lacks seq_pri"),
        (lambda c: c.update(movement_encoder={}), "holds movement_encoder"),
        (lambda c: c["seq_dec"].pop("output.3.bias"), "lacks 'output.3.bias'"),
        (lambda c: c["text_enc"].update(more=torch.zeros(1)), "has 'more'"),
        (lambda c: c["mov_dec"].update({"out_net.bias": torch.zeros(3)}), "'out_net.bias' is"),
        (lambda c: c["text_enc"].pop("hidden"), "not a T2M"),
        (lambda c: c.update(att_layer=[1, 2]), "not a T2M"),
    ],
)
def test_an_official_file_that_is_not_one_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_official(official(tmp_path, change)[0])


def test_what_belongs_to_an_official_run_is_asked_for_by_name(tmp_path):
    path, _ = official(tmp_path)
    words = tmp_path / "glove" / "our_vab_words.pkl"
    kept = words.read_bytes()
    words.unlink()
    with pytest.raises(InputError, match=r"our_vab_words\.pkl"):
        load_official(path)
    words.write_bytes(kept)
    (path.parents[1] / "meta" / "std.npy").unlink()
    with pytest.raises(InputError, match=r"mean\.npy and std\.npy"):
        load_official(path)


def test_a_checkpoint_of_other_features_is_refused_with_the_reason(tmp_path):
    with pytest.raises(InputError, match="features of 135 numbers; expected 263 or 251, of HumanML3D or KIT-ML"):
        load_official(official(tmp_path, dim_pose=135)[0])


def test_a_truncated_official_file_is_refused(tmp_path):
    path, _ = official(tmp_path)
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be read"):
        load_official(path)


class Foreign:
    """Writes a file when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


def test_a_checkpoint_or_word_list_that_would_run_code_is_refused_and_not_run(tmp_path):
    import pickle

    path, _ = official(tmp_path)
    kept, trace = path.read_bytes(), tmp_path / "ran"
    torch.save({"text_enc": Foreign(trace)}, path)
    with pytest.raises(InputError, match="could run code"):
        load_official(path)
    path.write_bytes(kept)
    (tmp_path / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(Foreign(trace)))
    with pytest.raises(InputError, match="no plain list of words"):
        load_official(path)
    assert not trace.exists()


def test_without_shipped_weights_it_says_where_they_were_looked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "RESULTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"there is no model 't2m' in {tmp_path}"):
        load("t2m", None, "cpu")


def test_word_vectors_have_a_file_of_their_own_that_no_extractor_holds():
    words = own_words()
    assert isinstance(words, WordVectors) and words.vectors.shape == (len(vocabulary()), 300)
    vectors, classes, lengths = words.batch(["a person walks", "", "zzyzx"])
    assert vectors.shape == (3, 5, 300) and classes.shape == (3, 5, 15) and lengths.tolist() == [5, 2, 3]
    assert torch.equal(vectors[2, 1], words.vectors[vocabulary().index("unk")])
    assert CONTACTS == 4 and (vectors[1, 2:] == 0).all()
