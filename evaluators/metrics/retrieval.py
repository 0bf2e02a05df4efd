"""How well texts and motions find each other in a shared space: R-precision and MM-distance.

Pools come from a seed and a size, never from a loader's batches. The k-th text belongs to the k-th motion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluators.metrics.distribution import _pair
from nerm.errors import InputError

Array = NDArray[np.float64]
POOL = 32
"""Texts and motions of one pool of R-precision."""
_AT_ONCE = 16  # pools whose distances are computed together: as many as fit a processor's cache
_TIE = 1e-12  # squared distances closer than this share of the squared norms are equal: the rounding of the expansion


def pools(n: int, seed: int, size: int = POOL, labels: Sequence | NDArray | None = None) -> NDArray[np.int64]:
    """Disjoint random pools [P, size] of n items; items that do not fill a pool are left out.

    labels: [n]; with them no pool holds a label twice. The commonest labels left are served first, which fills the most pools.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    if labels is None:
        if n < size:
            raise InputError(f"{n} items for retrieval pools of {size}; give more items or smaller pools")
        return order[: n // size * size].reshape(-1, size)
    if len(labels) != n:
        raise InputError(f"{len(labels)} labels for {n} items; expected one each")
    waiting: dict = {}
    for item in order:
        waiting.setdefault(labels[item], []).append(int(item))
    if len(waiting) < size:
        raise InputError(
            f"{len(waiting)} distinct labels for retrieval pools of {size} distinct labels; use pools of at most {len(waiting)}"
        )
    queues = list(waiting.values())  # in the order of first appearance in the permutation: ties between label counts are random
    filled = []
    while sum(1 for queue in queues if queue) >= size:
        queues.sort(key=len, reverse=True)
        filled.append([queue.pop() for queue in queues[:size]])
    chosen = np.array(filled, dtype=np.int64)
    return rng.permuted(chosen, axis=1)


def blocks(n: int, size: int = POOL) -> NDArray[np.int64]:
    """Consecutive pools [n // size, size], the last incomplete one dropped: the official pools of items that are already shuffled."""
    return np.arange(n // size * size).reshape(-1, size)


def hits(texts: ArrayLike, motions: ArrayLike, top: int = 3) -> NDArray[np.float64]:
    """[N, top] whether the motion of each text is among its k nearest motions, k = 1..top, in one pool of texts [N, D] and motions [N, D].

    Motions at the same distance share their ranks: with c nearer and t tied ones (itself included) the value is (k - c) / t within [0, 1],
    the probability under random order. So an embedding that maps everything to one point scores chance, and the order does not matter.
    """
    x, y = _paired(texts, motions)
    return _hits(x, y, _squares(x), _squares(y), np.arange(len(x))[None], top)[0]


def _hits(x: Array, y: Array, xx: Array, yy: Array, pools: NDArray[np.int64], top: int) -> Array:
    """[P, size, top] `hits` of pools [P, size] of one size. x, y: [N, D] texts and motions.  xx, yy: [N] their squares."""
    text, motion = xx[pools][:, :, None], yy[pools][:, None]
    squared = np.maximum(text + motion - 2 * (x[pools] @ np.swapaxes(y[pools], 1, 2)), 0)
    own = np.diagonal(squared, axis1=1, axis2=2)[:, :, None]
    tie = _TIE * (text + motion.max(axis=2, keepdims=True))
    nearer = (squared < own - tie).sum(axis=2)
    tied = (np.abs(squared - own) <= tie).sum(axis=2)
    return np.clip((np.arange(1, top + 1) - nearer[..., None]) / tied[..., None], 0, 1)


def _squares(x: Array) -> Array:
    """[N, D] -> [N] squared norms."""
    return np.einsum("nd,nd->n", x, x)


def r_precision(texts: ArrayLike, motions: ArrayLike, chosen: Iterable[ArrayLike], top: int = 3) -> NDArray[np.float64]:
    """[top] R-precision top 1..top: the mean of `hits` over pools. texts, motions: [N, D]; chosen: index sets, from `pools` or `blocks`."""
    x, y = _paired(texts, motions)
    xx, yy = _squares(x), _squares(y)
    of_size: dict[int, list[NDArray]] = {}
    for pool in map(np.asarray, chosen):
        of_size.setdefault(len(pool), []).append(pool)
    if not of_size:
        raise InputError(f"no retrieval pool could be filled from {len(x)} pairs; give more pairs or smaller pools")
    parts = [np.stack(of[start : start + _AT_ONCE]) for of in of_size.values() for start in range(0, len(of), _AT_ONCE)]
    return np.concatenate([_hits(x, y, xx, yy, part, top).reshape(-1, top) for part in parts]).mean(axis=0)


def matching_distance(texts: ArrayLike, motions: ArrayLike) -> float:
    """MM-distance: the mean over pairs of |text - motion|. texts, motions: [N, D]."""
    return float(matching_distances(texts, motions).mean())


def matching_distances(texts: ArrayLike, motions: ArrayLike) -> NDArray[np.float64]:
    """[N] |text - motion| of each pair. texts, motions: [N, D]."""
    x, y = _paired(texts, motions)
    return np.sqrt(_squares(x - y))


def _paired(texts: ArrayLike, motions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = _pair(texts, motions)
    if len(x) != len(y):
        raise InputError(f"{len(x)} texts and {len(y)} motions; expected one motion for each text")
    return x, y
