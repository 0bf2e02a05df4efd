"""Which nodes of a tree of joints are the 22 joints of SMPL order: by names, and by who hangs below whom. It knows no file and no unit.

A layout fits if all that no rule can stand in for (`NEEDED`) is named, every knee hangs below its hip, and so on. The rest follows:
- pelvis: the joint of that name above both hips and both shoulders, else the lowest joint above all four;
- spine1 to spine3: the joints between pelvis and neck if they are three, else points along the way at the shares of the SMPL skeleton;
- neck and head: by name; a missing head is the end of the neck, a missing neck lies two thirds of the way from spine3 to the head;
- a missing collar is 0.6 spine3 + 0.4 shoulder, a missing toe or hand is the end of the ankle's or elbow's bone.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.conventions import NAMES
from nerm.motion.layouts import NEEDED, NamedLayout, all_names, keys_of, named_layouts, plain, weights_of, without_affixes
from nerm.motion.mapping import Weights, detect_layout
from nerm.motion.skeleton import KIT21, SMPL22

_LIMBS = (("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist"))
_TRUNK = np.cumsum(SMPL22.lengths[[SMPL22.index(name) for name in ("spine1", "spine2", "spine3", "neck")]])
_SPINE_SHARES = _TRUNK[:3] / _TRUNK[3]
_NECK_SHARE = 0.68  # of the way from spine3 to the head, on the SMPL skeleton
_ENDS = {"foot": "ankle", "wrist": "elbow"}
_LISTED = 12
_OWN_NAMES = {"smpl": "smpl-words", "mixamo": "mixamo"}  # convention of the names that we write -> its layout
_SAME = 1e-4  # of the way from pelvis to neck: joints that lie nearer together are one


@dataclass(frozen=True)
class Match:
    """How the 22 joints are made of a tree's nodes.  is_exact: the layout is one of those with exact points."""

    layout: str
    weights: Weights
    is_exact: bool = False


@dataclass(frozen=True)
class Tree:
    """names, parents: one per node, parents first, -1 for the root.  pose: [N, 3] of the nodes, any one pose.  is_end: End Sites."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    pose: NDArray[np.float64]
    is_end: tuple[bool, ...]

    def above(self, node: int) -> list[int]:
        """The node, its parent, and so on up to the root."""
        path = [node]
        while self.parents[path[-1]] >= 0:
            path.append(self.parents[path[-1]])
        return path

    def children(self, node: int) -> list[int]:
        return [child for child, parent in enumerate(self.parents) if parent == node]


def match(tree: Tree, joints: Mapping[str, str] | None = None) -> Match:
    """The 22 joints of a tree.  joints: names (or weighted sums of names) given by the user, which go before any layout.

    Raises InputError with the nearest layout and what it lacks.
    """
    if joints is not None:
        return _given(tree, joints)
    exact = detect_layout(tree.names)
    if exact is not None and exact not in ("asf31", "hdm05"):  # those are ends of bones: in a tree the same names are starts
        from nerm.motion.mapping import LAYOUTS

        return Match(exact, LAYOUTS[exact], True)
    own = _written_here(tree)
    if own is not None:
        return own
    index = _index(tree)
    tried = [(layout, *_found(layout, index, tree)) for layout in named_layouts()]
    whole = [(layout, roles) for layout, roles, wrong in tried if not wrong]
    if not whole:
        raise InputError(_unknown(tree, tried))
    layout, roles = max(whole, key=lambda item: (len(item[1]), _spelling(item[0], item[1], tree)))
    return Match(layout.name, _weights(tree, roles))


def _written_here(tree: Tree) -> Match | None:
    """One to one for joints that are exactly those of `nerm.motion.conventions`, as in our own files: also where bones have no length."""
    joints = {name for name, is_end in zip(tree.names, tree.is_end, strict=True) if not is_end}
    for convention, layout in _OWN_NAMES.items():
        names = NAMES[convention]
        weights = {joint: {names[joint]: 1.0} for joint in SMPL22.names}
        if {names[joint] for joint in SMPL22.names} <= joints <= set(names.values()):
            return Match(layout, weights)
    return None


def is_kit21(names: Sequence[str]) -> bool:
    """Whether joints are exactly those of KIT-ML, as our own files have them, but for End Sites and helpers."""
    return {name for name in names if not name.endswith(("_end", "_base"))} == set(KIT21.names)


def read_joint_map(path: str | Path) -> dict[str, str]:
    """A user's JSON {"pelvis": "MyHips", "l_hip": "Thigh_L", ...}: names of the 22 joints -> names in the file."""
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"joints={path} does not exist; give a JSON file {_EXAMPLE}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"joints={path} cannot be read as JSON ({error}); expected {_EXAMPLE}") from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise InputError(f"joints={path}: expected names of joints for names of joints, {_EXAMPLE}")
    roles = {plain(name): name for name in SMPL22.names} | {
        plain(f"{word}_{name[2:]}"): name
        for name in SMPL22.names
        for word, side in (("left", "l"), ("right", "r"))
        if name[:2] == f"{side}_"
    }
    unknown = [key for key in given if plain(key) not in roles]
    if unknown:
        hint = "; the names of the file stand on the right" if any(plain(value) in roles for value in given.values()) else ""
        raise InputError(f"joints={path}: '{unknown[0]}' is none of the 22 joints{hint}; they are {', '.join(SMPL22.names)}")
    return {roles[plain(key)]: value for key, value in given.items()}


_EXAMPLE = '{"pelvis": "MyHips", "l_hip": "MyLeftThigh", ...}'


# ---- by a layout's names ----


def _index(tree: Tree) -> dict[tuple[str, str], list[int]]:
    """(side, base) -> the joints whose name may mean it; End Sites are none."""
    joints = [node for node in range(len(tree.names)) if not tree.is_end[node]]
    index: dict[tuple[str, str], list[int]] = {}
    for node, short in zip(joints, without_affixes([tree.names[node] for node in joints]), strict=True):
        for key in dict.fromkeys([*keys_of(short), *keys_of(tree.names[node])]):
            index.setdefault(key, []).append(node)
    return index


def _found(layout: NamedLayout, index: Mapping[tuple[str, str], list[int]], tree: Tree) -> tuple[dict[str, int], str]:
    """(role -> node, what is wrong with it: '' if the layout fits)."""
    candidates = {role: [node for key in layout.keys(role) for node in index.get(key, [])] for role in layout.roles()}
    roles: dict[str, int] = {}
    for side in "lr":
        for limb in _LIMBS:
            below = -1
            for role in (f"{side}_{name}" for name in limb):
                fits = [
                    node for node in candidates.get(role, []) if node not in roles.values() and (below < 0 or below in tree.above(node))
                ]
                if fits:
                    roles[role] = below = fits[0]
    for role in ("pelvis", "neck", "head"):
        fits = [node for node in candidates.get(role, []) if node not in roles.values()]
        if fits:
            roles[role] = fits[0]
    named = [role for role in roles]
    _add_ends(tree, roles)
    missing = [role for role in (*NEEDED, "l_foot", "r_foot") if role not in roles]
    if missing:
        return {role: roles[role] for role in named}, ", ".join(f"{role} ({_spelled(layout, role)})" for role in missing)
    return roles, _misplaced(tree, roles)


def _spelled(layout: NamedLayout, role: str) -> str:
    return layout.spelled(role) if role in layout.roles() else "none"


def _add_ends(tree: Tree, roles: dict[str, int]) -> None:
    """Feet and the like that have no joint of their own become the ends of the joints before them."""
    for side in "lr":
        for role, joint in _ENDS.items():
            if f"{side}_{role}" not in roles and f"{side}_{joint}" in roles:
                end = _end(tree, roles[f"{side}_{joint}"])
                if end is not None:
                    roles[f"{side}_{role}"] = end


def _end(tree: Tree, node: int) -> int | None:
    """The only child of a node, or its End Site."""
    children = tree.children(node)
    ends = [child for child in children if tree.is_end[child]]
    return ends[0] if ends else children[0] if len(children) == 1 else None


def _misplaced(tree: Tree, roles: Mapping[str, int]) -> str:
    """What is wrong with the hierarchy, '' if nothing."""
    for side, other in ("lr", "rl"):
        for limb in _LIMBS:
            named = [f"{side}_{name}" for name in limb if f"{side}_{name}" in roles]
            for upper, lower in pairwise(named):
                if roles[upper] not in tree.above(roles[lower])[1:]:
                    return f"{lower} '{tree.names[roles[lower]]}' does not hang below {upper} '{tree.names[roles[upper]]}'"
                if roles.get(f"{other}_{limb[-1]}", -1) >= 0 and roles[lower] in tree.above(roles[f"{other}_{limb[-1]}"]):
                    return f"both sides hang below {lower} '{tree.names[roles[lower]]}'"
    return ""


def _spelling(layout: NamedLayout, roles: Mapping[str, int], tree: Tree) -> int:
    """How many joints have the name that the program gives them, separators included."""
    short = [name.lower() for name in without_affixes(tree.names)]
    return sum(short[node] == layout.spelled(role).lower() for role, node in roles.items() if role in layout.roles())


def _unknown(tree: Tree, tried: list[tuple[NamedLayout, dict[str, int], str]]) -> str:
    layout, roles, wrong = max(tried, key=lambda item: (sum(role in NEEDED for role in item[1]), _spelling(item[0], item[1], tree)))
    used = set(roles.values())
    unknown = [name for node, name in enumerate(tree.names) if node not in used and not tree.is_end[node]]
    more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
    names = f"not recognised are {', '.join(unknown[:_LISTED]) or 'none'}{more}; give joints=MAP.json with {_EXAMPLE}"
    if sum(role in NEEDED for role in roles) < len(NEEDED) / 3:
        return f"no known layout fits these joints; {names}, or use the names of one of {', '.join(all_names())}"
    lacks = f"for which these are missing: {wrong}" if "(" in wrong else f"but {wrong}"
    return f"no known layout fits these joints; the nearest is {layout.name} ({layout.about}), {lacks}; {names}"


# ---- by the user's names ----


def _given(tree: Tree, joints: Mapping[str, str]) -> Match:
    roles: dict[str, int] = {}
    sums: dict[str, dict[str, float]] = {}
    for role, name in joints.items():
        node = _node_of(tree, name)
        if node is not None:
            roles[role] = node
            continue
        points = weights_of(name) if "*" in name else {}
        for point in points:
            if _node_of(tree, point) is None:
                points = {}
        if not points:
            near = difflib.get_close_matches(name, tree.names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}" if near else f"it has {', '.join(tree.names[:40])}"
            raise InputError(f"joints=: the file has no joint '{name}', which {role} shall be; {hint}")
        total = sum(points.values())
        sums[role] = {tree.names[_node_of(tree, point) or 0]: weight / total for point, weight in points.items()}
        roles[role] = _node_of(tree, max(points, key=lambda point: points[point])) or 0
    _add_ends(tree, roles)
    missing = [role for role in (*NEEDED, "l_foot", "r_foot") if role not in roles]
    if missing:
        raise InputError(
            f"joints=: {', '.join(missing)} are missing; a map must name {', '.join(NEEDED)}, and feet where no End Site is one"
        )
    wrong = _misplaced(tree, {role: node for role, node in roles.items() if role not in sums})
    if wrong:
        raise InputError(f"joints=: {wrong}; check the names of the map")
    return Match("the given map", {**_weights(tree, roles), **sums})


def _node_of(tree: Tree, name: str) -> int | None:
    if name in tree.names:
        return tree.names.index(name)
    same = [node for node, known in enumerate(tree.names) if plain(known) == plain(name)]
    return same[0] if len(same) == 1 else None


# ---- what follows from the named joints ----


def _weights(tree: Tree, roles: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """Weights of all 22 joints; see the module's docstring."""
    weights = {role: {tree.names[node]: 1.0} for role, node in roles.items()}
    pelvis = _pelvis(tree, roles)
    neck = _neck(tree, roles)
    top = neck if neck is not None else _common(tree, [roles["l_shoulder"], roles["r_shoulder"]])
    chain = tree.above(top)[::-1]
    chain = chain[chain.index(pelvis) :] if pelvis in chain else [pelvis, *chain]
    head = roles.get("head")
    if head is None:
        head = _end(tree, neck) if neck is not None else None
    if head is None:
        raise InputError("no joint of these is the head, and the neck has no End Site; name it with joints=MAP.json")
    weights["head"] = {tree.names[head]: 1.0}
    if neck is not None:
        weights["neck"] = {tree.names[neck]: 1.0}
    else:
        weights["neck"] = _between(tree, top, head, _NECK_SHARE)
    weights["pelvis"] = {tree.names[pelvis]: 1.0}
    weights |= {
        name: w for name, w in zip(("spine1", "spine2", "spine3"), _spine(tree, chain, neck, head), strict=True) if name not in roles
    }
    for side in "lr":
        if f"{side}_collar" not in roles:
            shoulder = tree.names[roles[f"{side}_shoulder"]]
            weights[f"{side}_collar"] = {point: 0.6 * weight for point, weight in weights["spine3"].items()}
            weights[f"{side}_collar"][shoulder] = weights[f"{side}_collar"].get(shoulder, 0.0) + 0.4
    return {name: weights[name] for name in SMPL22.names}


def _neck(tree: Tree, roles: Mapping[str, int]) -> int | None:
    """The named neck; if it lies on the joint above it, the next joint on the way to the head."""
    neck, head = roles.get("neck"), roles.get("head")
    if neck is None or head is None or neck not in tree.above(head):
        return neck
    above = tree.parents[neck]
    way = tree.above(head)[1 : tree.above(head).index(neck)]  # the joints between head and neck, the lowest last
    if above >= 0 and way and np.allclose(tree.pose[neck], tree.pose[above], rtol=0, atol=_SAME * np.ptp(tree.pose, axis=0).max()):
        return way[-1]
    return neck


def _pelvis(tree: Tree, roles: Mapping[str, int]) -> int:
    hips = [roles["l_hip"], roles["r_hip"]]
    shoulders = [roles["l_shoulder"], roles["r_shoulder"]]
    named = roles.get("pelvis")
    if named is not None and all(named in tree.above(node)[1:] for node in hips + shoulders):
        return named
    return _common(tree, hips + shoulders)


def _common(tree: Tree, nodes: list[int]) -> int:
    """The lowest joint above all of the nodes."""
    paths = [set(tree.above(node)[1:]) for node in nodes]
    return next(node for node in tree.above(nodes[0])[1:] if all(node in path for path in paths))


def _spine(tree: Tree, chain: list[int], neck: int | None, head: int) -> list[dict[str, float]]:
    """Weights of spine1, spine2 and spine3 for the chain of nodes from pelvis to neck (without a neck: to the joint of the shoulders)."""
    whole = float(np.linalg.norm(np.diff(tree.pose[[*chain, head]], axis=0), axis=-1).sum())
    way = [chain[0]]
    for node in chain[1:]:  # joints in one place are one
        if np.linalg.norm(tree.pose[node] - tree.pose[way[-1]]) > _SAME * whole:
            way.append(node)
    inner = way[1:-1] if neck is not None and way[-1] == neck else way[1:]
    if len(inner) == 3:
        return [{tree.names[node]: 1.0} for node in inner]
    if neck is None:
        way.append(head)
    steps = np.linalg.norm(np.diff(tree.pose[way], axis=0), axis=-1)
    reach = np.concatenate([[0.0], np.cumsum(steps)])
    end = reach[-1] if neck is not None else reach[-2] + _NECK_SHARE * steps[-1]
    places = np.interp(_SPINE_SHARES * end, reach, np.arange(len(way)))
    return [_between(tree, way[int(place)], way[min(int(place) + 1, len(way) - 1)], place % 1) for place in places]


def _between(tree: Tree, first: int, second: int, share: float) -> dict[str, float]:
    return {tree.names[first]: 1.0 - share, tree.names[second]: share} if share > 0 else {tree.names[first]: 1.0}
