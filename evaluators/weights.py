"""Which weights the rows of a run are computed with: those that ship, others of the user, and those of further trainings.

It knows folders of results and the files below their models/; it loads no system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluators.tables import Row, training_of
from nerm.checkpoint import MODELS, SUFFIX, sha256


class Weights:
    """The files with the weights of rows. places: folders of results, the one that ships last.  checkpoints: system -> file of the user."""

    def __init__(self, places: Sequence[Path], checkpoints: Mapping[str, str]) -> None:
        self.places, self.checkpoints = places, checkpoints
        self._files: dict[str, Path] = {}

    def rows(self, row: Row) -> list[Row]:
        """A row of a table with its weights, and one for each further training of its system; other weights of the user have none."""
        checkpoint = self.checkpoints.get(row.system, "") or own_weights(row.system, self.places)
        row = with_weights(row, checkpoint, self.places)
        if row.checkpoint:
            self._files[row.id] = Path(checkpoint)
            return [row]
        further = {row.with_training(number): path for number, path in further_trainings(row.system, self.places).items()}
        self._files |= {other.id: path for other, path in further.items()}
        return [row, *further]

    def file(self, row: Row) -> Path | None:
        """The file of one of those rows; None where nothing ships, for the file that a system finds by itself."""
        shipped = self.places[-1] / MODELS / f"{row.system}{SUFFIX}"
        return self._files.get(row.id) or (shipped if shipped.exists() else None)


def with_weights(row: Row, checkpoint: str, places: Sequence[Path]) -> Row:
    """The row with other weights of its system: a row of its own, unless the weights are the shipped ones."""
    if not checkpoint:
        return row
    digest, shipped = sha256(checkpoint), places[-1] / MODELS / f"{row.system}{SUFFIX}"
    return row if shipped.exists() and sha256(shipped) == digest else row.with_checkpoint(digest, checkpoint)


def further_trainings(system: str, places: Sequence[Path]) -> dict[int, Path]:
    """Number -> weights of the further trainings of a system, SYSTEM.seedN, from the first folder of results that has each."""
    found: dict[int, Path] = {}
    for place in places:
        for path in (place / MODELS).glob(f"{system}.seed*{SUFFIX}"):
            name, number = training_of(path.name.removesuffix(SUFFIX))
            if name == system and number:
                found.setdefault(number, path)
    return dict(sorted(found.items()))


def own_weights(system: str, places: Sequence[Path]) -> str:
    """The weights of a system in the user's folder of results, where that is not the one that ships."""
    path = places[0] / MODELS / f"{system}{SUFFIX}"
    return str(path) if len(places) > 1 and path.exists() else ""
