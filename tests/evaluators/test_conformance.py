"""The cases of original code through the command that checks them, and the command itself on made-up cases."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from baselines.cases import Case, NotCovered, read_case
from evaluators import conformance
from evaluators.cases import reproduce_features, reproduce_metrics
from evaluators.conformance import FAIL, NOT_COVERED, PASS, check_case, compare, main
from evaluators.extractors import EXTRACTORS
from nerm.errors import InputError

SOURCES = os.environ.get("NERM_SOURCES")
GOLDEN = Path(SOURCES or "", "golden")
CASES = sorted(path.parent for path in GOLDEN.rglob("fixture.json")) if SOURCES else []
UNSET = pytest.param(None, marks=pytest.mark.skip(reason="NERM_SOURCES names no folder with golden: no cases to compare with"))


@pytest.mark.parametrize("folder", CASES or [UNSET], ids=lambda p: str(p.relative_to(GOLDEN)) if p else "none")
def test_a_case_of_original_code_is_reproduced(folder):
    outcomes = check_case(folder)
    if outcomes[0].verdict == NOT_COVERED:
        pytest.skip(outcomes[0].reason)
    assert [o for o in outcomes if o.verdict != PASS] == []
    assert {o.output for o in outcomes} == set(read_case(folder).fixture["outputs"])


def twice(case):
    return {"y": 2 * case.inputs["x"], "n": np.array([3], np.int64)}


def without_n(case):
    return {"y": 2 * case.inputs["x"]}


def broken(case):
    raise RuntimeError("the first line\nof a long story")


def absent(case):
    raise NotCovered("no counterpart of this variant")


def refused(case):
    raise InputError(f"arch={case.config.get('arch')} cannot be honoured")


@pytest.fixture(autouse=True)
def made_up_adapters(monkeypatch):
    """Adapters of made-up systems beside the real ones."""
    real = conformance.adapters()
    made_up = {function.__name__: f"{__name__}:{function.__name__}" for function in (twice, without_n, broken, absent, refused)}
    monkeypatch.setattr(conformance, "adapters", lambda: real | made_up | {"lost": "no.such.module:f"})


def test_adapters_are_those_that_systems_extractors_and_formats_declare(monkeypatch):
    monkeypatch.undo()
    declared = conformance.adapters()
    assert {"features", "metrics", *EXTRACTORS.get("guo").reproduces} <= declared.keys()
    monkeypatch.setattr(conformance, "REPRODUCES", {"t2m_evaluator": "elsewhere:f"})
    with pytest.raises(InputError, match="cases of 't2m_evaluator' have two adapters"):
        conformance.adapters()


def write(folder, system, variant="one", outputs=None, tolerance=(1e-5, 1e-6), config=None):
    """A case whose right answer is y = 2 x and n = 3."""
    place = folder / system / variant
    place.mkdir(parents=True)
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    outputs = {"y": 2 * x, "n": np.array([3])} if outputs is None else outputs
    about = {
        name: {"shape": list(v.shape), "tolerance": dict(zip(("rtol", "atol"), tolerance, strict=True))} for name, v in outputs.items()
    }
    if "n" in about:
        about["n"]["tolerance"] = {"rtol": 0.0, "atol": 0.0}
    fixture = {"format": 1, "system": system, "variant": variant, "config": config or {}, "checkpoint": None}
    (place / "fixture.json").write_text(json.dumps(fixture | {"inputs": {"x": {}}, "outputs": about}))
    np.savez(place / "inputs.npz", x=x)
    np.savez(place / "outputs.npz", **outputs)
    return place


def lines(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if line]


def test_a_case_that_agrees_passes_and_the_exit_code_is_0(tmp_path, capsys):
    write(tmp_path, "twice")
    assert main([str(tmp_path)]) == 0
    out = lines(capsys)
    assert sum(PASS in line and "twice/one" in line for line in out) == 2
    assert out[-1] == "1 cases: 1 pass, 0 fail, 0 not covered; 2 outputs compared: 2 pass, 0 fail"


def test_cases_are_found_at_any_depth_and_in_the_folder_itself(tmp_path, capsys):
    place = write(tmp_path / "a" / "b" / "c", "twice")
    write(tmp_path, "twice", "two")
    assert main([str(tmp_path)]) == 0
    assert lines(capsys)[-1].startswith("2 cases")
    assert main([str(place)]) == 0
    assert lines(capsys)[-1].startswith("1 cases")


def test_one_wrong_number_is_found_and_its_place_told(tmp_path, capsys):
    reference = 2 * np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    reference[1, 2] += 1e-3
    write(tmp_path, "twice", outputs={"y": reference, "n": np.array([3])})
    assert main([str(tmp_path)]) == 1
    out = lines(capsys)
    assert "1 of 12 values outside, at [1, 2]" in out[-1] and out[-1].startswith("FAIL twice/one y")
    assert "1 pass, 1 fail" in out[-2]


@pytest.mark.parametrize("n", [4, -3])
def test_integers_are_equal_or_wrong(tmp_path, n):
    place = write(tmp_path, "twice", outputs={"n": np.array([n])}, tolerance=(10.0, 10.0))
    outcome = check_case(place)[0]
    assert outcome.verdict == FAIL and outcome.reason == "1 of 1 values differ"


def test_an_output_that_is_missing_on_either_side_fails(tmp_path):
    assert {o.output: (o.verdict, o.reason) for o in check_case(write(tmp_path, "without_n"))} == {
        "y": (PASS, ""),
        "n": (FAIL, "the adapter does not give it"),
    }
    place = write(tmp_path, "twice")
    np.savez(place / "outputs.npz", n=np.array([3]))
    assert [o.reason for o in check_case(place)] == ["outputs.npz does not hold it", ""]


def test_what_an_adapter_raises_fails_its_case_alone(tmp_path, capsys):
    for system in ("broken", "lost", "refused", "twice"):
        write(tmp_path, system, config={"arch": "mamba"})
    assert main([str(tmp_path)]) == 1
    out = lines(capsys)
    assert out[-3:] == [
        "FAIL broken/one: RuntimeError: the first line of a long story",
        "FAIL lost/one: ModuleNotFoundError: No module named 'no'",
        "FAIL refused/one: arch=mamba cannot be honoured",
    ]
    assert out[-4].startswith("4 cases: 1 pass, 3 fail")


def test_what_is_not_covered_fails_only_if_strict(tmp_path, capsys):
    for system in ("twice", "absent", "unheard_of"):
        write(tmp_path, system)
    assert main([str(tmp_path)]) == 0
    out = lines(capsys)
    assert any("no adapter for system 'unheard_of'" in line and NOT_COVERED in line for line in out)
    assert any("no counterpart of this variant" in line and NOT_COVERED in line for line in out)
    assert out[-1].startswith("3 cases: 1 pass, 0 fail, 2 not covered")
    assert main([str(tmp_path), "strict=true"]) == 1


def test_broken_arrays_fail_the_case_and_the_rest_goes_on(tmp_path, capsys):
    (write(tmp_path, "twice", "cut") / "inputs.npz").write_bytes(b"PK\x03\x04")
    (write(tmp_path, "twice", "gone") / "outputs.npz").unlink()
    np.savez(write(tmp_path, "twice", "less") / "inputs.npz", z=np.zeros(2))
    write(tmp_path, "twice", "whole")
    assert main([str(tmp_path)]) == 1
    out = lines(capsys)
    assert [line.split(":")[0] for line in out[-3:]] == ["FAIL twice/cut", "FAIL twice/gone", "FAIL twice/less"]
    assert "1 pass, 3 fail" in out[-4]


def test_the_table_goes_to_files_too(tmp_path):
    write(tmp_path / "cases", "twice")
    write(tmp_path / "cases", "absent")
    main([str(tmp_path / "cases"), f"csv={tmp_path / 'new' / 'a.csv'}", f"out={tmp_path / 'a.md'}"])
    with (tmp_path / "new" / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["output"], row["verdict"]) for row in rows] == [
        ("absent/one", "", NOT_COVERED),
        ("twice/one", "y", PASS),
        ("twice/one", "n", PASS),
    ]
    assert "2 cases: 1 pass" in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no folder of cases"),
        (["strict=true"], "no folder of cases"),
        (["{}/nowhere"], "is no folder"),
        (["{}"], "holds no case"),
        (["{}", "strickt=true"], "did you mean strict"),
        (["{}", "strict=perhaps"], "strict=perhaps"),
    ],
)
def test_wrong_use_is_answered(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        main([word.format(tmp_path) for word in arguments])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "lacks system, variant, config, outputs"),
        ('{"system": "a", "variant": "b", "config": {}}', "lacks outputs"),
        ('{"system": "a", "variant": "b", "config": {}, "outputs": {}}', "names no output"),
        ('{"system": "a", "variant": "b", "config": {}, "outputs": {"y": {}}}', "'y' lacks its tolerance"),
        ('{"format": 2, "system": "a", "variant": "b", "config": {}, "outputs": {"y": {}}}', "format 2"),
        (
            '{"system": "a", "variant": "b", "config": {}, "checkpoint": 3, "outputs": {"y": {"tolerance": {"rtol": 0, "atol": 0}}}}',
            "checkpoint",
        ),
    ],
)
def test_a_fixture_that_cannot_be_read_stops_before_anything_runs(tmp_path, content, message):
    write(tmp_path, "broken")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "fixture.json").write_text(content)
    with pytest.raises(InputError, match=message):
        main([str(tmp_path)])


def test_the_command_ends_with_the_exit_code_and_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, "-m", "evaluators.conformance", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


NAN = float("nan")


@pytest.mark.parametrize(
    ("found", "reference", "worst"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.05], [1.0, 2.0], 0.5),
        ([1.0, 2.2], [1.0, 2.0], 2.0),
        ([1.0, float("inf")], [1.0, 2.0], float("inf")),
        ([1.0, 2.0], [1.0, NAN], float("inf")),
        ([1.0, NAN], [1.0, NAN], 0.0),
        ([1.0, float("inf")], [1.0, float("inf")], 0.0),
        ([1.0, NAN], [1.0, 2.0], NAN),
        ([1.0], [1.0, 2.0], NAN),
        ([[1.0, 2.0]], [1.0, 2.0], NAN),
        (["1", "2"], [1.0, 2.0], NAN),
        ([1, 2], [1.0, 2.0], 0.0),
    ],
)
def test_worst_is_the_difference_in_units_of_what_is_allowed(found, reference, worst):
    ratio, reason = compare(np.array(found), np.array(reference), rtol=0.0, atol=0.1)
    np.testing.assert_allclose(ratio, worst, rtol=1e-9)
    assert bool(reason) == (not ratio <= 1)


def test_the_relative_part_is_of_the_reference():
    assert compare(np.array([110.0]), np.array([100.0]), rtol=0.1, atol=0.0)[0] == pytest.approx(1.0)
    assert compare(np.array([1e-3]), np.array([0.0]), rtol=0.1, atol=0.0)[0] == np.inf
    assert compare(np.array([0.0]), np.array([0.0]), rtol=0.0, atol=0.0) == (0.0, "")
    assert compare(np.zeros((0, 3)), np.zeros((0, 3)), rtol=0.0, atol=0.0) == (0.0, "")


def test_nan_where_integers_are_expected_fails():
    assert np.isnan(compare(np.array([NAN]), np.array([0]), 0.0, 0.0)[0])
    assert compare(np.array([1.0, 0.0]), np.array([True, False]), 0.0, 0.0) == (0.0, "")


def pipeline(**config):
    """A case of the 263 features with a configuration of its own."""
    own = {"joints_num": 22, "feet_thre": 0.002, "l_idx": [5, 8], "fid_r": [8, 11], "fid_l": [7, 10], "face_joint_indx": [2, 1, 17, 16]}
    random = np.random.default_rng(0)
    joints = np.cumsum(random.normal(0, 0.02, (12, 22, 3)), axis=0) + random.normal(0, 0.3, (22, 3))
    inputs = {"joints": joints, "target_pose": joints[0]}
    return Case(Path(), "features", "one", own | config, {}, inputs)


def test_thresholds_and_joints_of_a_format_come_from_the_configuration():
    usual, never = reproduce_features(pipeline()), reproduce_features(pipeline(feet_thre=0.0))
    assert never["part_contacts"].sum() == 0 < usual["part_contacts"].sum()
    swapped = reproduce_features(pipeline(fid_l=[8, 11], fid_r=[7, 10]))
    np.testing.assert_array_equal(swapped["part_contacts"], usual["part_contacts"][:, [2, 3, 0, 1]])


@pytest.mark.parametrize(
    ("config", "message"), [({"kinematic_chain": [[0, 1, 2]]}, "kinematic_chain"), ({"raw_offsets": [[0, 1, 0]] * 22}, "raw_offsets")]
)
def test_a_configuration_that_is_not_the_formats_is_named(config, message):
    with pytest.raises(InputError, match=message):
        reproduce_features(pipeline(**config))


def test_formats_and_protocols_without_a_counterpart_are_not_covered():
    with pytest.raises(NotCovered, match="24 joints"):
        reproduce_features(pipeline(joints_num=24))
    for reproduce in (reproduce_features, reproduce_metrics):
        with pytest.raises(NotCovered, match="no counterpart of 'other'"):
            reproduce(Case(Path(), "any", "other", {}, {}, {"x": np.zeros(1)}))
