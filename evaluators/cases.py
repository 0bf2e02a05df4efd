"""Adapters that run the cases of original code for feature formats and metrics.

The names of a case's input arrays say what it asks for. Numbers that fix a format or a draw come from its configuration. A number that
this project cannot honour is an InputError; a subject that it does not have is NotCovered. The outputs of the original are never read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.cases import Case, NotCovered
from evaluators import intervals
from evaluators.metrics import averages, distribution, retrieval
from nerm.errors import InputError
from nerm.motion import actions, features, rifke, rifke70, rotations, smpl135
from nerm.motion.features import FEATURES_251, FEATURES_263, FeatureFormat

REPRODUCES = {"features": "evaluators.cases:reproduce_features", "metrics": "evaluators.cases:reproduce_metrics"}
"""System of a case -> its adapter. Systems and extractors name theirs in their own entries."""

Outputs = dict[str, NDArray]


def features_pipeline(case: Case) -> Outputs:
    """Joints to the features of HumanML3D or KIT-ML and back; every stage is an output."""
    x, format = case.inputs, _format(case)
    target = format.skeleton.with_lengths_of(x["target_pose"])
    vectors, canonical = features.process(x["joints"], format, target)
    heading, root = features.decode_root(vectors, format)
    return {
        "target_offsets": target.offsets,
        "uniform_joints": features.uniform_skeleton(x["joints"], target, format),
        "features": vectors,
        "canonical_joints": canonical,
        "part_root_rotation_velocity": vectors[:, format.turn],
        "part_root_linear_velocity": vectors[:, format.root_velocity],
        "part_rotations": vectors[:, format.rot],
        "part_contacts": vectors[:, format.contacts],
        "recovered_ric": features.decode(vectors, format),
        "recovered_root_quaternion": heading,
        "recovered_root": root,
        "recovered_rot": features.decode_rotations(vectors, format, target),
    }


def features_recovery(case: Case) -> Outputs:
    """Published vectors to joints."""
    vectors, format = case.inputs["vectors"], _format(case)
    heading, root = features.decode_root(vectors, format)
    return {"recovered_joints": features.decode(vectors, format), "root_quaternion": heading, "root": root}


def features_rotations(case: Case) -> Outputs:
    """The conversions between representations of rotation."""
    x = case.inputs
    matrix = rotations.matrix_from_axis_angle(x["axis_angle"])
    quaternion = rotations.quaternion_from_axis_angle(x["axis_angle"])
    return {
        "matrix": matrix,
        "quaternion": quaternion,
        "quaternion_from_matrix": rotations.quaternion_from_matrix(matrix),
        "axis_angle_back": rotations.axis_angle_from_matrix(matrix),
        "rot6d_rows": rotations.rows6d(matrix),
        "rot6d_columns": rotations.columns6d(matrix),
        "matrix_from_free_6d_rows": rotations.matrix_from_rows6d(x["free_6d"]),
        "matrix_from_free_6d_columns": rotations.matrix_from_columns6d(x["free_6d"]),
        "rotated": rotations.quaternion_rotate(quaternion, x["vectors"]),
        "product": rotations.quaternion_multiply(quaternion, quaternion[::-1]),
        "between": rotations.quaternion_between(x["vectors"], x["vectors"][::-1]),
    }


def features_actions(case: Case) -> Outputs:
    """Clips of the action data: windows of one length as 24 rotations and a translation per frame."""
    x, config = case.inputs, case.config
    require(case, sampling="conseq", sampling_step=1, pose_rep="rot6d", translation=True)
    generator = random.Random(config["python_seed"])
    windows = [actions.window_frames(int(length), config["num_frames"], generator) for length in x["lengths"]]
    starts = np.cumsum(x["lengths"]) - x["lengths"]
    frames = [start + window for start, window in zip(starts, windows, strict=True)]
    clips = [actions.encode_actions25(x["poses"][of_clip], x["joints"][of_clip, 0]) for of_clip in frames]
    return {"features": np.stack(clips), "targets": x["labels"], "frame_index": np.stack(windows)}


def features_rifke(case: Case) -> Outputs:
    """Rifke of TEMOS, filtered or not, and its position errors, which pass both motions through the features."""
    require(case, jointstype="mmm", normalization=False)
    x, filtered, lengths = case.inputs, case.config["forward_filter"], case.inputs["lengths"]
    features = np.stack([rifke.encode_rifke64(joints, filtered) for joints in x["joints"]])
    # The errors are never those of the filtered features, and padding takes part in finding the floor.
    plain = [[rifke.encode_rifke64(joints) for joints in x[name]] for name in ("generated_joints", "joints")]
    units = [[rifke.decode_rifke64(item[:length]) for item, length in zip(of, lengths, strict=True)] for of in plain]
    metres = [[rifke.Parts(*(part * 1e-3 for part in parts)) for parts in of] for of in units]
    return arrays(
        {
            "features": features,
            "inverse": np.stack([rifke.decode_rifke64(item).joints for item in features]),
            "part_turning": features[..., rifke.TURN, None],
            "metrics_meters": list(averages.average_errors(*metres).values()),
            "metrics_raw": list(averages.average_errors(*units).values()),
        }
    )


def features_rifke70(case: Case) -> Outputs:
    """Rifke of language2pose."""
    left, right = case.config["fid_l"], case.config["fid_r"]
    if sorted([*left, *right]) != sorted(rifke.FEET):
        raise InputError(f"feet {left} and {right} in the configuration of {case.name}; here they can only be {rifke.FEET}")
    # The joints of the original's heading are counted with the reference joint in front.
    require(case, sdr_l=6, sdr_r=9, hip_l=12, hip_r=17, velocity_threshold=0.05, height_thresholds=[3.0, 2.0])
    features = rifke70.encode_rifke70(case.inputs["joints"])
    return {
        "features": features,
        "part_turning": features[:, rifke70.TURN, None],
        "part_contacts": features[:, rifke70.CONTACTS],
        "network_input": features[1:, rifke70.NETWORK],
        "recovered_joints": rifke70.decode_rifke70(features),
    }


def features_smpl135(case: Case) -> Outputs:
    """Rotations and steps of TEMOS."""
    require(case, pose_rep="rot6d")
    matrices = rotations.matrix_from_axis_angle(case.inputs["axis_angle"])
    features = smpl135.encode_smpl135(matrices, case.inputs["translation"], case.config["canonicalize"], case.config["offset"])
    back, translation = smpl135.decode_smpl135(features)
    return {"features": features, "matrices": matrices, "inverse_matrices": back, "inverse_translation": translation}


def metrics_text(case: Case) -> Outputs:
    """The text-to-motion protocol."""
    x, config = case.inputs, case.config
    text, motion, generated = x["text_embeddings"], x["motion_embeddings"], x["generated_embeddings"]
    block = config["block"]
    first = retrieval.hits(text[:block], motion[:block])
    own, other = distribution.moments(motion), distribution.moments(generated)
    draws = _Draws(_numpy_draws(case))
    outputs = {
        "distance_matrix_block0": distribution.pairwise_distances(text[:block], motion[:block]),
        "top_k_block0": first,
        "r_precision_counts_first_block": first.sum(axis=0),
        "r_precision": retrieval.r_precision(text, motion, retrieval.blocks(len(text), block)),
        "matching_score": retrieval.matching_distance(text, motion),
        "matching_score_by_norm": [retrieval.matching_distance(a[None], b[None]) for a, b in zip(text, motion, strict=True)],
        "mean_motion": own.mean,
        "cov_motion": own.covariance,
        "mean_generated": other.mean,
        "cov_generated": other.covariance,
        "fid": distribution.frechet(motion, generated),
        "fid_same_set": distribution.frechet(motion, motion),
        "fid_rank_deficient": distribution.frechet(x["few_a"], x["few_b"]),
        "diversity": distribution.diversity(generated, config["diversity_times"], draws),
        "multimodality": distribution.multimodality(x["mm_embeddings"], config["multimodality_times"], draws),
    }
    names = ("diversity_first", "diversity_second", "multimodality_first", "multimodality_second")
    means, halves = zip(*(intervals.interval(column) for column in x["replications"].T), strict=True)
    return arrays(outputs | dict(zip(names, draws.made, strict=True)) | {"replication_mean": means, "replication_interval": halves})


def metrics_action(case: Case) -> Outputs:
    """The action-to-motion protocol, with a class that does not occur, and the variant of implicit motion fields."""
    import torch

    x, config = case.inputs, case.config
    generated, labels, classes = x["generated_features"], x["generated_labels"], config["num_classes"]
    pairs, per_class = config["diversity_times"], config["multimodality_times"]
    outputs: dict[str, Any] = {
        "fid": distribution.frechet(x["features"], generated),
        "accuracy": distribution.accuracy(x["scores"], labels),
        "confusion": distribution.confusion_matrix(labels, x["scores"].argmax(axis=1), classes),
        "nearest_real_distance": distribution.nearest_distance(generated, x["features"]),
        "interval_variance_rule": [intervals.variance_interval(column)[1] for column in x["replications"].T],
    }
    present = labels != config["absent_class"]
    for prefix, motions, of in (("", generated, labels), ("absent_", generated[present], labels[present])):
        draws = _Draws(_numpy_draws(case))
        outputs[f"{prefix}diversity"] = distribution.diversity(motions, pairs, draws, replace=True)
        if not prefix:
            outputs["diversity_first"], outputs["diversity_second"] = draws.made
        outputs[f"{prefix}multimodality"] = distribution.quota_multimodality(motions, of, classes, per_class, draws)
        outputs[f"{prefix}multimodality_draws"] = draws.made[2:]
    generator = torch.Generator().manual_seed(config["numpy_seed"])
    # This variant draws all its indices with replacement and with PyTorch.
    draws = _Draws(lambda n, size, replace: torch.randint(n, (size,), generator=generator).numpy())
    outputs["per_class_diversity"] = distribution.diversity(generated, pairs, draws, replace=True)
    outputs["per_class_multimodality"] = distribution.class_multimodality(generated, labels, per_class, draws)
    outputs["per_class_diversity_first"], outputs["per_class_diversity_second"] = draws.made[:2]
    outputs["per_class_draws"] = np.reshape(draws.made[2:], (-1, 2, per_class))
    return arrays(outputs)


def metrics_unconstrained(case: Case) -> Outputs:
    """The protocol of unconstrained generation."""
    x, config = case.inputs, case.config
    require(case, kernel={"degree": 3, "gamma": "1/D", "coef0": 1})
    real, generated, size, samples = x["real_features"], x["generated_features"], config["kid_subset_size"], config["pr_samples"]
    draws = _Draws(_numpy_draws(case))
    values = distribution.kernel_distances(real, generated, draws, config["kid_subsets"], size)
    subsets = list(zip(draws.made[::2], draws.made[1::2], strict=True))
    pairs = _Draws(_numpy_draws(case))
    outputs: dict[str, Any] = {
        "fid": distribution.frechet(real, generated),
        "kid_mmd": values,
        "kid_var": [distribution.polynomial_mmd_variance(real[i], generated[j], min(len(real), len(generated))) for i, j in subsets],
        "kid_mean_std": [values.mean(), values.std()],
        "kid_first_subset_real": subsets[0][0],
        "kid_first_subset_generated": subsets[0][1],
        "kid_1000_mean_std": distribution.kernel_distance(x["real_1000"], x["generated_1000"], _numpy_draws(case), 5, len(x["real_1000"])),
        "precision_recall": distribution.precision_recall(real[: samples + 7], generated[:samples], config["k"]),
        "diversity": distribution.diversity(generated, 200, pairs, replace=True),
    }
    return arrays(outputs | dict(zip(("diversity_first", "diversity_second"), pairs.made, strict=True)))


_FEATURES: dict[frozenset[str], Callable[[Case], Outputs]] = {
    frozenset({"joints", "target_pose"}): features_pipeline,
    frozenset({"vectors", "published_joints"}): features_recovery,
    frozenset({"vectors"}): features_recovery,
    frozenset({"axis_angle", "free_6d", "vectors"}): features_rotations,
    frozenset({"poses", "joints", "lengths", "labels"}): features_actions,
    frozenset({"joints", "generated_joints", "lengths"}): features_rifke,
    frozenset({"joints"}): features_rifke70,
    frozenset({"axis_angle", "translation"}): features_smpl135,
}
_METRICS: dict[str, Callable[[Case], Outputs]] = {
    "text_embeddings": metrics_text,
    "generated_labels": metrics_action,
    "real_1000": metrics_unconstrained,
}


def reproduce_features(case: Case) -> Outputs:
    """Any case of a feature format that this project has."""
    return _chosen(case, next((run for names, run in _FEATURES.items() if names == case.inputs.keys()), None))


def reproduce_metrics(case: Case) -> Outputs:
    """Any case of an evaluation protocol that this project has."""
    return _chosen(case, next((run for name, run in _METRICS.items() if name in case.inputs), None))


def _chosen(case: Case, adapter: Callable[[Case], Outputs] | None) -> Outputs:
    if adapter is None:
        raise NotCovered(f"no counterpart of '{case.variant}' here (inputs {', '.join(case.inputs)})")
    return adapter(case)


class _Draws:
    """Random choices, kept in `made`. source: a numpy random state, or a function of (n, size, replace)."""

    def __init__(self, source: Any) -> None:
        self.draw = getattr(source, "choice", source)
        self.made: list[NDArray] = []

    def choice(self, n: int, size: int | None = None, replace: bool = True) -> Any:
        self.made.append(self.draw(n, size, replace=replace))
        return self.made[-1]


def _numpy_draws(case: Case) -> np.random.RandomState:
    return np.random.RandomState(case.config["numpy_seed"])


def require(case: Case, **honoured: Any) -> None:
    """An InputError if the configuration gives another value for one of these names."""
    for name, value in honoured.items():
        if name in case.config and case.config[name] != value:
            raise InputError(f"{name}={case.config[name]} in the configuration of {case.name}; here it can only be {value}")


def _format(case: Case) -> FeatureFormat:
    """The format with the joints and thresholds of the configuration."""
    config = case.config
    by_joints = {len(format.skeleton): format for format in (FEATURES_263, FEATURES_251)}
    if config["joints_num"] not in by_joints:
        raise NotCovered(f"features of {config['joints_num']} joints; here are formats of {' and '.join(map(str, by_joints))}")
    format = by_joints[config["joints_num"]]
    parents = {child: parent for chain in config.get("kinematic_chain", []) for parent, child in pairwise(chain)}
    own = dict(enumerate(format.skeleton.parents))
    if any(own[child] != parent for child, parent in parents.items()):
        raise InputError(f"kinematic_chain in the configuration of {case.name} is not that of {format.name}")
    if "raw_offsets" in config and not np.allclose(config["raw_offsets"], format.skeleton.axes, atol=1e-6):
        raise InputError(f"raw_offsets in the configuration of {case.name} are not the rest directions of {format.name}")
    changed: dict[str, Any] = {}
    if "feet_thre" in config:
        changed["contact_threshold"] = config["feet_thre"]
    if "l_idx" in config:
        changed["leg"] = tuple(config["l_idx"])
    if "fid_l" in config:
        changed["feet"] = (*config["fid_l"], *config["fid_r"])
    if "face_joint_indx" in config:
        changed |= {"hips": tuple(config["face_joint_indx"][:2]), "shoulders": tuple(config["face_joint_indx"][2:])}
    return replace(format, **changed)


def arrays(outputs: dict[str, ArrayLike | Sequence[Any]]) -> Outputs:
    """Outputs as a case stores them: single numbers are arrays of one."""
    return {name: np.atleast_1d(np.asarray(value)) for name, value in outputs.items()}
