"""What a run is asked for: the keys of its command, with everything that they name found and checked before anything heavy is loaded.

It knows names of tables, rows, systems and datasets; it opens none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.cli import choose
from nerm.devices import DEVICES, device_of
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.tables import Row, Table

FILES = ("checkpoint", "codes")
_OF_SYSTEM = re.compile(rf"([\w.+-]+)\.({'|'.join(FILES)})=(.*)")


@dataclass
class RunConfig:
    """Keys of the command.

    table: a name, or all.
    dataset: what it is computed on; left out, the table's own.
    systems: rows to compute, as [nerm,mdm]; empty is all that can be computed here.
    tier: quick, full or paper: how many motions and replications.
    device: auto, cpu, cuda or mps.
    seed: of the samples and the replications.
    out: folder of the reports and of raw/.
    dry_run: only say what would be computed, and what is stored already.
    shipped: folder of models/, reference/ and stored rows; left out, it is out, then results/ of this project.
    cache: folder of what may be used again; left out, it is NERM_DATA/cache.
    ground_truth: check stops where real motion is not measured as it was published; skip does not, for data of one's own.
    """

    table: str = "framerates"
    dataset: str = ""
    systems: list[str] = field(default_factory=list)
    tier: str = "quick"
    device: str = "auto"
    seed: int = 0
    out: str = "results"
    dry_run: bool = False
    shipped: str = ""
    cache: str = ""
    ground_truth: str = "check"


@dataclass(frozen=True)
class Asked:
    """What is to be computed, and with what.

    table: as it is on the dataset.  rows: those that were named; none: all that can be computed here.  classes: generator classes of the
    user's, package.module:Class, that some of these rows are.  checkpoints, codes: system -> file.  out, shipped, cache: folders, '' for
    the usual ones.
    """

    table: Table
    dataset: str
    rows: Sequence[Row]
    classes: Sequence[str]
    tier: str
    seed: int
    device: str
    checkpoints: Mapping[str, str]
    codes: Mapping[str, str]
    out: str
    shipped: str
    cache: str


def split_files(words: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """SYSTEM.checkpoint=PATH and SYSTEM.codes=PATH, and the other words; `systems=nerm` is a list of one."""
    files: dict[str, dict[str, str]] = {kind: {} for kind in FILES}
    rest = []
    for word in words:
        match = _OF_SYSTEM.fullmatch(word)
        if match:
            files[match[2]][match[1]] = match[3]
        elif word.startswith("systems=") and not word.startswith("systems=["):
            rest.append(f"systems=[{word.removeprefix('systems=')}]")
        else:
            rest.append(word)
    return files, rest


def check(config: RunConfig, files: Mapping[str, Mapping[str, str]]) -> Asked:
    """What the keys ask for, or an error with suggestions. files: for each of FILES, system -> path."""
    from baselines.base import SYSTEMS
    from evaluators.ground_truth import CHECKS
    from evaluators.protocols import PROTOCOLS
    from evaluators.tables import list_tables, load_table, training_of
    from evaluators.user_class import is_class
    from nerm.data.dataset import DATASETS

    choose("table", config.table, list_tables())
    choose("ground_truth", config.ground_truth, CHECKS)
    device = device_of(config.device, (*DEVICES, "mps"))
    table = load_table(config.table)
    dataset = choose("dataset", config.dataset or table.datasets[0], DATASETS.names)
    table = table.on(dataset)
    for name in table.protocols:
        choose("tier", config.tier, PROTOCOLS.get(name).tiers)
    for kind in FILES:
        for name, path in files[kind].items():
            choose(f"{kind} of system", training_of(name)[0] if kind == "codes" else name, SYSTEMS.names)
            if not Path(path).is_file():
                raise InputError(f"{name}.{kind}={path}; that file does not exist")
    if config.seed < 0:
        raise InputError(f"seed={config.seed}; expected 0 or a positive number")
    names = list(dict.fromkeys(config.systems))
    return Asked(
        table=table,
        dataset=dataset,
        rows=[row_named(name, table) for name in names],
        classes=[name for name in names if is_class(name)],
        tier=config.tier,
        seed=config.seed,
        device=device,
        checkpoints=files["checkpoint"],
        codes=files["codes"],
        out=config.out,
        shipped=config.shipped,
        cache=config.cache,
    )


def row_named(name: str, table: Table) -> Row:
    """The row that a word of systems= names: one of the table, a system that it does not list, or a class of the user's."""
    from baselines.base import SYSTEMS
    from evaluators.tables import Row
    from evaluators.user_class import is_class, row_of

    if is_class(name):
        return row_of(name)
    listed = {row.id: row for row in table.rows}
    choose("systems", name, [*listed, *(system for system in SYSTEMS.names if system not in listed)])
    row = listed.get(name) or Row(name, SYSTEMS.get(name).title, system=name)
    if not row.is_implemented:
        raise InputError(
            f"systems={name}; there is no system '{row.system}' here, so the table shows only what was published: leave it out"
        )
    return row
