import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.diffusion import SAMPLERS, add_noise, alphas_cumprod, guided, target
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.model import Code, Condition, NeRM, load_nerm
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


def test_a_mirrored_code_is_read_as_its_mirror_image(system):
    plain, mirrored = (system.read(Code(torch.ones(16), is_mirrored, 0), 1.0, 20) for is_mirrored in (False, True))
    assert np.abs(mirrored.joints - plain.mirrored().joints).max() == 0


def test_a_saved_system_samples_the_same(system, tmp_path):
    system.save(tmp_path / "s.safetensors")
    loaded = load_nerm(tmp_path / "s.safetensors")
    again = load_nerm(tmp_path / "s.safetensors")
    one, two = (s.sample([Condition(label=LABELS[0])], [2.0], 30, [1])[0] for s in (loaded, again))
    assert np.array_equal(one.joints, two.joints)
    original = system.sample([Condition(label=LABELS[0])], [2.0], 30, [1])[0]
    assert np.abs(one.joints - original.joints).max() < 0.05  # weights are stored in fp16
    assert loaded.labels == LABELS and len(loaded.digest) == 64


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
    with pytest.raises(InputError, match="not a whole safetensors file"):
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


def without_a_setting(settings: dict) -> None:
    """What was not a setting yet; today's default does not fit the code's size."""
    del settings["field"]["intervals"]


def with_another_setting(settings: dict) -> None:
    """What is a setting no more."""
    settings["rotations"] = "euler"


@pytest.mark.parametrize("change", [without_a_setting, with_another_setting])
def test_a_model_file_of_before_says_that_it_is_of_another_version(system, tmp_path, change):
    path = tmp_path / "old.safetensors"
    system.save(path)
    with safe_open(path, "pt") as file:
        facts, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    settings = json.loads(facts["stage1"])
    change(settings)
    save_file(tensors, path, facts | {"stage1": json.dumps(settings)})
    with pytest.raises(InputError, match="another version of this package"):
        load_nerm(path)


@pytest.mark.parametrize("key", ["stage1", "labels"])
def test_a_model_file_with_damaged_settings_says_so(system, tmp_path, key):
    path = tmp_path / "damaged.safetensors"
    system.save(path)
    with safe_open(path, "pt") as file:
        facts, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, facts | {key: facts[key][:-3]})
    with pytest.raises(InputError, match="damaged settings"):
        load_nerm(path)
