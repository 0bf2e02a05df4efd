from dataclasses import replace

import numpy as np
import pytest
import torch

from nerm import checkpoint
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.diffusion import SAMPLERS, add_noise, alphas_cumprod, guided, target
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.generator import Condition, Facts, ReadsCodes, Reconstructs
from nerm.model import NeRM, load_nerm
from nerm.settings import Stage1Config, Stage2Config

LABELS = ["cmu/walk", "hdm05/squat1Reps"]
SENTENCE = "a person walks forward"


@pytest.fixture(scope="module")
def system() -> NeRM:
    torch.manual_seed(0)
    stage1 = Stage1Config(field=FieldConfig(width=32, layers=3, latent=16, intervals=5))
    stage2 = Stage2Config(denoiser=DenoiserConfig(latent=17, width=32, layers=2, labels=len(LABELS)), sampling_steps=10)
    denoiser = Denoiser(stage2.denoiser)
    torch.nn.init.normal_(denoiser.network.leave.weight, std=0.3)
    return NeRM(stage1, Field(stage1.field), stage2, denoiser, torch.zeros(16), torch.eye(16), LABELS)


def test_sampling_at_60_and_keeping_every_third_frame_is_sampling_at_20(system):
    fast, slow = (system.sample([Condition()], [3.0], fps, [5])[0] for fps in (60, 20))
    assert np.abs(fast.joints[::3] - slow.joints).max() < 1e-5


def test_of_a_system_that_knows_one_side_a_sentence_of_the_right_is_the_mirror_image_of_that_of_the_left(system):
    known = replace(system, stage2=replace(system.stage2, one_sided=True))
    left, right = (known.sample([Condition(f"someone kicks with the {side} foot")], [2.0], 20.0, [3])[0] for side in ("left", "right"))
    np.testing.assert_allclose(left.mirrored().joints, right.joints, atol=1e-6)
    assert np.abs(left.joints - right.joints).max() > 0.01


@pytest.mark.parametrize("fps", [1, 23.976, 480])
def test_any_rate_from_1_to_480_is_served(system, fps):
    motion = system.sample([Condition()], [3.0], fps, [0])[0]
    assert motion.fps == fps and len(motion) == int(3 * fps + 1e-6) + 1


def test_a_seed_gives_the_same_motion_in_any_batch_and_order(system):
    conditions = [Condition(label=LABELS[i % 2]) for i in range(40)]
    together = system.sample(conditions, [2.0] * 40, 30, list(range(40)))
    alone = system.sample([conditions[35]], [2.0], 30, [35])[0]
    backwards = system.sample(conditions[::-1], [2.0] * 40, 30, list(range(40))[::-1])
    assert np.abs(together[35].joints - alone.joints).max() < 1e-5
    assert np.abs(together[35].joints - backwards[4].joints).max() < 1e-5
    assert np.abs(together[35].joints - together[33].joints).max() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_gives_finite_motion(system, sampler):
    assert np.isfinite(system.sample([Condition()], [1.0], 20, [0], sampler=sampler)[0].joints).all()


def a_code(mirrored: bool = False) -> dict[str, np.ndarray]:
    return {"z": np.ones(16, np.float32), "mirrored": np.array(mirrored)}


@pytest.mark.parametrize("reading", ["read", "decode"])
def test_a_mirrored_code_is_read_as_its_mirror_image(system, reading):
    plain, mirrored = (getattr(system, reading)(a_code(is_mirrored), 1.0, 20) for is_mirrored in (False, True))
    assert np.abs(mirrored.joints - plain.mirrored().joints).max() == 0


def test_codes_survive_a_file_and_read_as_what_was_sampled(system, tmp_path):
    conditions, seconds, seeds = [Condition(), Condition(label=LABELS[0])], [1.0, 2.0], [3, -4]
    motions = system.sample(conditions, seconds, 30, seeds)
    for k, code in enumerate(system.sample_codes(conditions, seconds, seeds)):
        assert set(code) == {"z", "mirrored", "lasts"} and code["z"].dtype == np.float32 and code["z"].shape == (16,)
        np.savez(tmp_path / "code.npz", **code)
        with np.load(tmp_path / "code.npz") as stored:
            assert np.array_equal(system.read(dict(stored), seconds[k], 30).joints, motions[k].joints)


def test_a_motion_has_a_code_that_says_it_again(system):
    assert isinstance(system, ReadsCodes) and isinstance(system, Reconstructs)
    motion = system.decode(a_code(), 2.0, 60)
    (code,) = system.fit([motion])
    assert code["z"].shape == (16,) and not code["mirrored"]
    assert np.abs(system.decode(code, 2.0, 60).joints - motion.joints).max() < 0.1


def test_an_untrained_system_knows_nothing_of_a_training(system):
    assert system.facts == Facts() and not system.facts.known


def test_a_saved_system_samples_the_same(system, tmp_path):
    system.save(tmp_path / "s.safetensors")
    loaded = load_nerm(tmp_path / "s.safetensors")
    again = load_nerm(tmp_path / "s.safetensors")
    one, two = (s.sample([Condition(label=LABELS[0])], [2.0], 30, [1])[0] for s in (loaded, again))
    assert np.array_equal(one.joints, two.joints)
    original = system.sample([Condition(label=LABELS[0])], [2.0], 30, [1])[0]
    assert np.abs(one.joints - original.joints).max() < 0.05  # weights are stored in fp16
    assert loaded.labels == LABELS and len(loaded.digest) == 64


def test_a_system_that_reads_sentences_in_a_space_of_its_own_does_so_from_its_file_too(system, tmp_path):
    space = torch.randn(8, 768, generator=torch.Generator().manual_seed(0))
    stage2 = replace(system.stage2, denoiser=replace(system.stage2.denoiser, text=8), sentence_space=8)
    known = replace(system, stage2=stage2, denoiser=Denoiser(stage2.denoiser), sentences=space)
    for layer in (*known.denoiser.network.narrow, known.denoiser.network.leave):
        torch.nn.init.normal_(layer.weight, std=0.3)
    known.save(tmp_path / "s.safetensors")
    loaded, spaceless = load_nerm(tmp_path / "s.safetensors"), load_nerm(tmp_path / "s.safetensors")
    spaceless.sentences = torch.zeros_like(space)
    one, two, three = (s.sample([Condition(SENTENCE)], [2.0], 30, [1])[0].joints for s in (known, loaded, spaceless))
    assert np.abs(one - two).max() < 0.05 < np.abs(two - three).max()


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"seconds": [11.0]}, "seconds=11; expected more than 0 and at most 10"),
        ({"seconds": [0.0]}, "seconds=0"),
        ({"fps": 0}, "fps=0; expected a positive number"),
        ({"fps": 1000}, "1 to 480"),
        ({"conditions": [Condition(label="cmu/wlak")]}, "did you mean cmu/walk"),
        ({"seeds": [0, 1]}, "2 seeds"),
    ],
)
def test_wrong_requests_are_answered(system, change, answer):
    request = {"conditions": [Condition()], "seconds": [2.0], "fps": 20, "seeds": [0]} | change
    with pytest.raises(InputError, match=answer):
        system.sample(**request)


def test_a_text_and_a_label_together_are_refused():
    with pytest.raises(InputError):
        Condition(SENTENCE, LABELS[0])


def test_a_truncated_model_is_refused(system, tmp_path):
    path = tmp_path / "s.safetensors"
    system.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"not a whole \.safetensors file"):
        load_nerm(path)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_denoiser_recovers_the_code(prediction):
    from nerm.diffusion import sample

    code = torch.randn(1, 8)
    abar = alphas_cumprod()

    def predict(z, k):
        noise = (z - abar[k].sqrt()[:, None] * code) / (1 - abar[k]).sqrt()[:, None]
        return target(code.expand_as(z), noise, k, prediction)

    for sampler in SAMPLERS:
        assert torch.allclose(sample(predict, (1, 8), [0], sampler, 50, prediction), code, atol=0.1), (
            sampler
        )  # DDIM as MLD sets it ends at abar_0


def test_noise_is_added_as_the_schedule_says():
    step = torch.tensor([0, 999])
    noisy = add_noise(torch.ones(2, 1), torch.zeros(2, 1), step)
    assert torch.allclose(noisy[:, 0], alphas_cumprod()[step].sqrt())
    assert alphas_cumprod()[0] == pytest.approx(1 - 0.00085, abs=1e-6)
    assert alphas_cumprod()[999] == pytest.approx(0.0047, abs=2e-4)


def test_guidance_1_is_the_conditional_prediction():
    a, b = torch.randn(3), torch.randn(3)
    assert torch.equal(guided(a, b, 1.0), a)
    assert torch.allclose(guided(a, b, 2.5), b + 2.5 * (a - b))


def without_a_setting(about: dict) -> None:
    """What was not a setting yet; today's default does not fit the code's size."""
    del about["stage1"]["field"]["intervals"]


def with_another_setting(about: dict) -> None:
    """What is a setting no more."""
    about["stage1"]["rotations"] = "euler"


def with_another_part(about: dict) -> None:
    """What is a part of the system no more."""
    about["texture"] = {"edges_hz": [4.0, 8.0, 16.0], "rank": 8}


@pytest.mark.parametrize("change", [without_a_setting, with_another_setting, with_another_part])
def test_an_older_model_file_says_that_it_is_of_another_version(system, tmp_path, change):
    path = tmp_path / "old.safetensors"
    system.save(path)
    stored = checkpoint.read(path)
    change(stored.about)
    checkpoint.write(path, "nerm", stored.tensors, stored.about)
    with pytest.raises(InputError, match="another version of this package"):
        load_nerm(path)


def test_a_file_of_another_system_is_refused(tmp_path):
    checkpoint.write(tmp_path / "mdm.safetensors", "mdm", {"x": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="is a file of 'mdm'; expected one of 'nerm'"):
        load_nerm(tmp_path / "mdm.safetensors")
    with pytest.raises(InputError, match=r"no model 'nrem' .* did you mean nerm"):
        load_nerm("nrem")
