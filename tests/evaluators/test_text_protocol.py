"""The published text evaluation: what a pass draws, figures with known answers, and a run on a miniature in the official layouts."""

import csv
import json
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from miniature import write_features, write_lists

from evaluators.extractors import EXTRACTORS
from evaluators.extractors.guo.network import NETWORKS, GuoConfig, GuoEvaluator
from evaluators.extractors.guo.official import load_guo_humanml3d, load_guo_kit
from evaluators.metrics import metric
from evaluators.metrics.distribution import moments
from evaluators.protocols import resamples_of
from evaluators.protocols.text.drawing import draw_items, draw_pass
from evaluators.protocols.text.protocol import TextProtocol
from evaluators.protocols.text.scoring import values_of
from evaluators.run import main as run
from evaluators.tables import Row, load_table
from nerm import checkpoint
from nerm.data.dataset import load_dataset, preparation
from nerm.errors import InputError
from nerm.motion.features import FEATURES_251, FEATURES_263
from nerm.prepare import prepare
from nerm.registry import forget_plugin
from nerm.words import tag

ALL = ("fid", "r_precision_top1", "r_precision_top2", "r_precision_top3", "multimodal_dist", "diversity", "multimodality")
SPLITS = {"train": range(2), "val": range(2, 4), "test": range(4, 40)}


# --- what a pass draws ------------------------------------------------------------------------------------------------------------------


def test_a_pass_has_every_item_at_most_once_and_drops_the_last_incomplete_pool():
    first, second = (draw_pass([60] * 100, [3] * 100, 0, number) for number in (0, 1))
    assert len(first.order) == 96 == len(set(first.order.tolist()))
    assert first.order.tolist() != second.order.tolist() and first.captions.tolist() != second.captions.tolist()
    assert draw_pass([60] * 100, [3] * 100, 0, 1).order.tolist() == second.order.tolist()


def test_crops_are_the_longest_multiple_of_four_or_in_a_third_of_all_cases_a_unit_less_and_start_anywhere():
    drawn = draw_pass([43] * 6000, [3] * 6000, 0, 0)
    assert set(drawn.lengths.tolist()) == {36, 40}
    assert np.mean(drawn.lengths == 36) == pytest.approx(1 / 3, abs=0.02)
    assert {*drawn.starts[drawn.lengths == 40].tolist()} == set(range(4)) and {*drawn.starts[drawn.lengths == 36].tolist()} == set(range(8))
    np.testing.assert_allclose(np.bincount(drawn.captions) / 6000, 1 / 3, atol=0.02)


def test_items_of_multimodality_are_drawn_once_each():
    assert len(set(draw_items(500, 100, 0, 0).tolist())) == 100 and sorted(draw_items(40, 100, 0, 0)) == list(range(40))


@pytest.mark.parametrize(("frames", "captions", "said"), [([60] * 31, [1] * 31, "31 test items"), ([60] * 39 + [7], [1] * 40, "7 frames")])
def test_a_set_that_cannot_be_evaluated_is_refused(frames, captions, said):
    with pytest.raises(InputError, match=said):
        draw_pass(frames, captions, 0, 0)


# --- figures with known answers ---------------------------------------------------------------------------------------------------------


class Fixed:
    """Stands in for random numbers: index sets one after the other, and what was asked for."""

    def __init__(self):
        self.asked = []

    def choice(self, n, size, replace):
        self.asked.append((n, size, replace))
        return (np.arange(size) + size * (len(self.asked) % 2 == 0)) % n


def figures(texts, motions, real=None, repeats=None, rng=None, wanted=ALL):
    real = moments(motions if real is None else real)
    return {name: value for name, value, _ in values_of(wanted, texts, motions, real, rng or np.random.default_rng(0), repeats)}


def test_motions_that_lie_where_their_texts_are_are_found_and_a_common_shift_is_the_distance():
    texts = 10 * np.eye(64)
    shift = np.full(64, 0.25)  # its length is 2
    same, moved = figures(texts, texts), figures(texts, texts + shift, real=texts)
    assert [same[name] for name in ALL[:5]] == pytest.approx([0, 1, 1, 1, 0], abs=1e-6)
    assert [moved[name] for name in ALL[:5]] == pytest.approx([4, 1, 1, 1, 2], abs=1e-6)


def test_a_duplicate_counts_in_its_own_pool_of_32_alone():
    texts = 10.0 * np.eye(64)
    other_pool, own_pool = texts.copy(), texts.copy()
    other_pool[32:] = texts[:32]  # texts 32.. never find theirs; those of the first pool are not disturbed by copies in the second
    own_pool[1::2] = texts[::2]  # pairs of equal motions: the even text finds its own first or second
    found = figures(texts, other_pool, wanted=ALL[1:4])
    assert found["r_precision_top1"] == pytest.approx((32 + 1) / 64)  # 32 motions at one distance: chance of 1 in 32
    assert figures(own_pool, own_pool, wanted=ALL[1:4]) == {"r_precision_top1": 0.5, "r_precision_top2": 1.0, "r_precision_top3": 1.0}


def test_diversity_takes_300_pairs_and_multimodality_10_of_30_without_replacement():
    line = np.arange(640.0)[:, None] * np.ones((1, 1))
    repeats = np.stack([np.zeros((30, 30)), np.eye(30)])  # one caption always gives the same, the other always another motion
    rng = Fixed()
    found = figures(line, line, repeats=repeats, rng=rng)
    assert rng.asked == [(640, 300, False)] * 2 + [(30, 10, False)] * 2
    assert found["diversity"] == 300 and found["multimodality"] == pytest.approx(np.sqrt(2) / 2)


# --- a run on a miniature ---------------------------------------------------------------------------------------------------------------

OWN = '''
import numpy as np
from nerm.motion import Motion, SMPL22, frame_count
from nerm.motion.motion import Features
from nerm.motion.skeleton import joints_from_directions

class Ramp:
    """Features that no recording has, and joints that say nothing of them."""
    native_fps = 20.0
    def sample(self, conditions, seconds, fps, seeds):
        made = []
        for duration in seconds:
            n = frame_count(duration, fps)
            joints = joints_from_directions(np.tile([0, 0.9, 0], (n, 1)), np.repeat(SMPL22.axes[None, 1:], n, 0), SMPL22)
            values = np.linspace(0, 1, n)[:, None] * np.ones(263)
            made.append(Motion(joints, fps, features=Features("FORMAT", values)))
        return made
'''.replace("FORMAT", FEATURES_263.name)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A prepared miniature of HumanML3D with 36 test clips, and a folder of results with an evaluator of random weights."""
    root = tmp_path_factory.mktemp("text")
    sources = write_features(root / "sources", FEATURES_263, clips=40)
    write_lists(sources, SPLITS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NERM_DATA", str(root / "data"))
        patch.delenv("NERM_SOURCES", raising=False)
        prepare(preparation("humanml3d"), sources, root / "data" / "humanml3d", workers=1)
        path = root / "out" / "models" / EXTRACTORS.get("guo_humanml3d").file
        write_evaluator(path, np.load(sources / "Mean.npy"), np.load(sources / "Std.npy"))
        published, true = EXTRACTORS.get("guo_humanml3d").official.sha256, checkpoint.sha256
        patch.setattr(checkpoint, "sha256", lambda file: published if Path(file).name == path.name else true(file))
        (root / "own_system.py").write_text(OWN)
        patch.chdir(root)
        yield root


def write_evaluator(path: Path, mean, std) -> None:
    """finest.tar, its statistics and the word vectors, as published and small."""
    torch.manual_seed(0)
    evaluator = GuoEvaluator(GuoConfig(len(mean), 12, 8, 8, 8, 8, 6))
    path.parent.mkdir(parents=True)
    torch.save({name: getattr(evaluator, name).state_dict() for name in NETWORKS}, path)
    np.save(path.with_name("mean.npy"), mean)
    np.save(path.with_name("std.npy"), std)
    said = "a person jogs ahead and veers to the left raises hand waves right"
    words = ["unk", "sos", "eos", *dict.fromkeys(said.split())]
    np.save(path.with_name("our_vab_data.npy"), np.random.default_rng(0).normal(size=(len(words), 12)))
    path.with_name("our_vab_words.pkl").write_bytes(pickle.dumps(words))
    path.with_name("our_vab_idx.pkl").write_bytes(pickle.dumps({word: place for place, word in enumerate(words)}))


SYSTEM = "own_system:Ramp"
WORDS = ["dataset=humanml3d", "device=cpu"]


def stored(out: Path, table: str = "text", dataset: str = "humanml3d") -> dict[str, dict]:
    """Row -> metric -> values of its replications."""
    rows = {}
    for path in (out / "raw" / dataset / table / "quick").glob("*.json"):
        rows[path.stem] = {series["metric"]: series["value"] for series in json.loads(path.read_text())["series"]}
    return rows


def brute(texts, motions):
    """R-precision top 1..3 and MM-distance, pool by pool, in the plainest way."""
    hits, near = [], []
    for start in range(0, len(texts), 32):
        block = np.array([[np.linalg.norm(text - motion) for motion in motions[start : start + 32]] for text in texts[start : start + 32]])
        rank = np.array([list(np.argsort(row)).index(k) for k, row in enumerate(block)])
        hits.append([(rank < top).mean() for top in (1, 2, 3)])
        near.append(np.diag(block).mean())
    return [*np.mean(hits, axis=0), np.mean(near)]


def first_pass(name, extractor):
    """The first pass over a dataset, and its texts and crops in the order of the pools, read from the dataset itself."""
    dataset = load_dataset(name)
    items = dataset.items("test")
    drawn = draw_pass([len(dataset.motion(item)) for item in items], [len(item.captions) for item in items], 0, 0)
    texts = extractor.embed_tokens([dataset.tokens(items[k])[drawn.captions[k]] for k in drawn.order])
    return drawn, texts, [dataset.motion(items[k]).features.values[drawn.starts[k] :][: drawn.lengths[k]] for k in drawn.order]


def test_real_motion_and_a_system_are_scored_as_published(official):
    out = official / "out"
    assert run(["table=text", *WORDS, f"out={out}", "ground_truth=skip", f"systems=[real,{SYSTEM}]"]) == 0
    rows = stored(out)
    extractor = load_guo_humanml3d(out / "models" / EXTRACTORS.get("guo_humanml3d").file)
    assert set(rows["real"]) == {*ALL[:-1]} and len(rows["real"]["fid"]) == 5
    drawn, texts, crops = first_pass("humanml3d", extractor)
    np.testing.assert_allclose([rows["real"][name][0] for name in ALL[1:5]], brute(texts, extractor.embed_features(crops)), rtol=1e-4)
    ramps = [np.linspace(0, 1, drawn.lengths[k])[:, None] * np.ones(263) for k in drawn.order]
    mm_distance = brute(texts, extractor.embed_features(ramps))[-1]
    assert rows["own_system-Ramp"]["multimodal_dist"][0] == pytest.approx(mm_distance, rel=1e-4)
    # Another draw of the same recordings is near, not equal; ramps are far away.
    assert 0 < np.mean(rows["real"]["fid"]) < 0.1 * np.mean(rows["own_system-Ramp"]["fid"])
    report = (out / "humanml3d" / "text.quick.md").read_text()
    assert "Real motion is not measured here as it was published (" in report and "0.797" in report


def test_real_motion_of_21_joints_at_12_fps_is_scored_by_the_evaluator_of_its_dataset(official):
    sources = write_features(official / "kit", FEATURES_251, 4.0, clips=40)
    write_lists(sources, SPLITS)
    prepare(preparation("kit"), sources, official / "data" / "kit", workers=1)
    out = official / "of kit"
    path = out / "models" / EXTRACTORS.get("guo_kit").file
    write_evaluator(path, np.load(sources / "Mean.npy"), np.load(sources / "Std.npy"))
    assert run(["table=text", "dataset=kit", "device=cpu", f"out={out}", "ground_truth=skip", "systems=[real]"]) == 0
    extractor = load_guo_kit(path)
    _, texts, crops = first_pass("kit", extractor)
    found = stored(out, dataset="kit")["real"]
    np.testing.assert_allclose([found[name][0] for name in ALL[1:5]], brute(texts, extractor.embed_features(crops)), rtol=1e-4)


def test_scoring_stops_where_real_motion_is_not_as_published(official, tmp_path, capsys):
    words = ["table=text", *WORDS, f"out={tmp_path}", f"shipped={official / 'out'}"]
    assert run([*words, f"systems=[{SYSTEM}]", f"cache={tmp_path / 'cache'}"]) == 1
    said = capsys.readouterr().err
    assert "is not as published: R-precision top 1 is" in said and "ground_truth=skip" in said
    assert not (tmp_path / "raw" / "humanml3d" / "text" / "quick" / "own_system-Ramp.json").exists()


def test_scoring_goes_on_where_real_motion_is_as_published(official, tmp_path, monkeypatch, capsys):
    real = stored(official / "out")["real"]
    expected = "".join(f"  {name}: {{value: {np.mean(real[name])}, tolerance: 1.0e-4}}\n" for name in ("fid", "diversity"))
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    (plugin / "nothing.py").write_text("ENTRIES = ()\n")
    (plugin / "mine.yaml").write_text(
        "title: t\nabout: a\nrates: [20]\nlayout: metrics\nsets: [all]\ndatasets: [humanml3d]\nprotocols: [text]\n"
        "extractors: [guo_humanml3d]\nmetrics: [fid, diversity]\nrows: [{id: real, title: Real, role: real}]\n"
        "published: {table: text, dataset: humanml3d, extractor: guo_humanml3d, set: all, official: guo_humanml3d}\n"
        f"ground_truth:\n{expected}"
    )
    monkeypatch.setenv("NERM_PLUGINS", str(plugin))
    out = tmp_path / "out"
    try:
        assert run(["table=mine", *WORDS, f"out={out}", f"shipped={official / 'out'}", f"systems=[{SYSTEM}]"]) == 0
    finally:
        forget_plugin(plugin)
    assert "real: computed first" in capsys.readouterr().err
    with (out / "humanml3d" / "mine.quick.csv").open(newline="") as file:
        assert {line["system"] for line in csv.DictReader(file)} >= {"real", "own_system-Ramp"}


def test_without_the_published_file_rows_are_skipped_and_it_is_said_which_file_goes_where(official, tmp_path, capsys):
    words = ["table=text", *WORDS, f"out={tmp_path}", f"shipped={tmp_path}"]
    assert run(words) == 0
    told = capsys.readouterr()
    assert f"put t2m/text_mot_match/model/finest.tar of EricGuo5513/text-to-motion (checkpoints) into {tmp_path / 'models'}" in told.err
    assert "real: not computed here (extractor 'guo_humanml3d' is a published one" in told.err and "no row can be computed here" in told.out
    with pytest.raises(InputError, match=r"finest\.tar"):
        run([*words, "systems=[real]"])


def test_published_tokens_are_read_as_they_are(official):
    words = load_guo_humanml3d(official / "out" / "models" / EXTRACTORS.get("guo_humanml3d").file).words
    vectors, classes, lengths = words.batch_of_tokens(["a/DET person/NOUN hops/VERB left/ADV"])
    assert lengths.tolist() == [6]
    np.testing.assert_array_equal(vectors[0, 3], words.vectors[words.index["unk"]])
    same = words.batch(["a person left"])
    np.testing.assert_array_equal(vectors[0, [0, 1, 2, 4, 5]], same[0][0])
    assert classes[0].argmax(-1).tolist()[4] == same[1][0].argmax(-1).tolist()[3] and tag("left")


def test_its_intervals_are_those_of_independent_draws_as_published():
    """1.96 std / sqrt(n), also of metrics whose replications are bootstrap samples of trials in other protocols."""
    assert [resamples_of(metric(name), "text") for name in ALL] == ["draws"] * len(ALL)
    assert resamples_of(metric("fid"), "clip") == "trials" and resamples_of(metric("fid"), "a protocol of nobody") == "trials"


# --- what tiers ask for -----------------------------------------------------------------------------------------------------------------


def opened(official, tier: str) -> TextProtocol:
    """The protocol in a run of the table, as far as it asks for motion."""
    extractors = {"guo_humanml3d": None}
    subject = {"tier": tier, "seed": 0, "base_fps": 20.0, "extractors": extractors, "dataset": lambda: load_dataset("humanml3d")}
    return TextProtocol(SimpleNamespace(table=load_table("text").on("humanml3d"), **subject))


def test_tier_paper_generates_anew_in_every_replication_and_tier_full_once(official):
    paper, full = (opened(official, tier) for tier in ("paper", "full"))
    row = Row("mdm", "MDM")
    asked = {tier.run.tier: {p.asks for unit in tier.units(row) if unit.metric == "fid" for p in unit.parts} for tier in (paper, full)}
    assert asked == {"paper": {str(k) for k in range(20)}, "full": {"0"}}
    first, second = (paper.requests(row, name) for name in "01")
    assert {a.seed for a in first}.isdisjoint(b.seed for b in second) and [a.condition for a in first] != [b.condition for b in second]
    assert first == full.requests(row, "0")
    drawn = paper.drawn(0)
    assert [round(request.seconds * 20) + 1 for request in first] == drawn.lengths.tolist()
    items = load_dataset("humanml3d").items("test")
    assert [r.condition.text for r in first] == [item.captions[k] for item, k in zip(items, drawn.captions, strict=True)]


def test_multimodality_asks_thirty_times_for_each_of_its_captions_with_seeds_of_their_own(official):
    protocol, row = opened(official, "paper"), Row("mdm", "MDM")
    asked = protocol.requests(row, "repeats/3")
    captions = min(100, len(protocol.items))
    assert len(asked) == captions * 30 == len({request.seed for request in asked})
    for start in range(0, len(asked), 30):
        assert len({(r.item, r.condition, r.seconds) for r in asked[start : start + 30]}) == 1
    parts = next(unit.parts for unit in protocol.units(row) if unit.metric == "multimodality")
    assert len([p for p in parts if p.asks.startswith("repeats/")]) == 20
    assert not [unit for unit in protocol.units(Row("real", "Real", "real")) if unit.metric == "multimodality"]


def test_real_motion_is_compared_with_passes_that_it_is_not_measured_on(official):
    unit = next(unit for unit in opened(official, "paper").units(Row("real", "Real", "real")) if unit.metric == "fid")
    own, other = ({p.name for p in parts if p.name.startswith("passes/")} for parts in (unit.parts, unit.reference))
    assert len(own) == len(other) == 20 and own.isdisjoint(other)


# --- files of the user ------------------------------------------------------------------------------------------------------------------


def test_files_of_the_user_are_scored_by_their_features(official, tmp_path, monkeypatch, capsys):
    """The recordings' own features as files: R-precision is that of whole recordings and first captions, and FID is near that of real."""
    from evaluators.score import main as score

    dataset = load_dataset("humanml3d")
    items = dataset.items("test")
    (tmp_path / "files").mkdir()
    for item in items:
        np.save(tmp_path / "files" / f"{item.id}.npy", dataset.motion(item).features.values)
    words = ["protocol=text", "dataset=humanml3d", f"shipped={official / 'out'}", f"out={tmp_path / 'out'}"]
    assert score([*words, f"motions={tmp_path / 'files'}", "in_fps=20", "name=mine"]) == 0
    mine = stored(tmp_path / "out")["mine"]
    extractor = load_guo_humanml3d(official / "out" / "models" / EXTRACTORS.get("guo_humanml3d").file)
    order = np.random.default_rng([0, 0, 5]).permutation(len(items))[:64]
    texts = extractor.embed_tokens([dataset.tokens(items[k])[0] for k in order])
    motions = extractor.embed_features([dataset.motion(items[k]).features.values for k in order])
    np.testing.assert_allclose([mine[name][0] for name in ALL[1:5]], brute(texts, motions), rtol=1e-3)
    assert "multimodality" not in mine and 0 < np.mean(mine["fid"]) < 5 * np.mean(stored(official / "out")["real"]["fid"])
    assert score([*words, f"write_conditions={tmp_path / 'asked.csv'}"]) == 0
    with (tmp_path / "asked.csv").open(newline="") as file:
        asked = list(csv.DictReader(file))
    assert [line["caption"] for line in asked] == [item.captions[0] for item in items]
    assert {(round(float(line["seconds"]) * 20) + 1) % 4 for line in asked} == {0}
