"""A dataset, a system, an extractor, a protocol, a metric and a table can each be added with one file: those of tests/toy are."""

import csv
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluators import tables
from evaluators.run import main
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.skeleton import joints_from_directions
from nerm.registry import forget_plugin, load_plugin, plugins

TOY = Path(__file__).parent / "toy"
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def toy(monkeypatch):
    """The modules of the toys, by name."""
    monkeypatch.setenv("NERM_PLUGINS", str(TOY))
    yield {Path(module.__file__).stem: module for module in plugins()}
    monkeypatch.undo()
    forget_plugin(TOY)


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "data"))
    return ["table=toy", f"out={tmp_path / 'results'}", "device=cpu"]


def figures(root: Path) -> dict[tuple[str, str, float], float]:
    with (root / "results" / "toy" / "toy.quick.csv").open(newline="") as file:
        return {(line["system"], line["metric"], float(line["fps"])): float(line["value"]) for line in csv.DictReader(file)}


def test_a_table_of_toys_is_computed_and_reported(toy, words, tmp_path, capsys):
    assert main(words) == 0
    summary = capsys.readouterr().out
    assert len(summary.splitlines()) <= 30 and "Trembling" in summary
    assert sorted(p.name for p in (tmp_path / "results" / "toy").iterdir()) == [
        f"toy.quick{end}" for end in (".csv", ".md", ".png", ".spectra.png")
    ]
    values = figures(tmp_path)
    assert np.isfinite(list(values.values())).all()
    rows = {"trembling", "trembling-cubic", "freeze", "control-noise", "real"}
    assert {(row, "speed_gap", fps) for row in rows for fps in (25.0, 50.0)} <= values.keys()
    assert {(row, metric, 50.0) for row in rows for metric in ("trial_distance", "velocity")} <= values.keys()
    assert values["real", "speed_gap", 50.0] == 0 < values["freeze", "speed_gap", 50.0]
    assert values["trembling", "velocity", 50.0] > 0.01 > 1e-9 > values["freeze", "velocity", 50.0]


def test_a_metric_of_one_motion_is_computed_for_every_row_at_every_rate(toy, words, tmp_path):
    main(words)
    values = figures(tmp_path)
    rest = joints_from_directions(np.zeros(3), SMPL22.axes[1:], SMPL22)
    reach = np.mean([np.linalg.norm(rest[SMPL22.index(wrist)]) for wrist in ("l_wrist", "r_wrist")])
    assert [values["freeze", "reach", fps] for fps in (25.0, 50.0)] == pytest.approx([reach, reach], rel=1e-5)
    assert abs(values["control-noise", "reach", 50.0] - values["real", "reach", 50.0]) < 1e-3 < abs(values["real", "reach", 50.0] - reach)


def test_a_metric_of_one_motion_whose_intervals_are_not_over_trials_is_refused(toy, words, tmp_path):
    text = (TOY / "metric.py").read_text().replace('resamples="trials"', 'resamples="draws"').replace('"reach"', '"reach_by_draws"')
    (tmp_path / "other.py").write_text(text)
    (tmp_path / "other.yaml").write_text((TOY / "toy.yaml").read_text().replace("reach]", "reach_by_draws]"))
    load_plugin(tmp_path / "other.py")
    try:
        with pytest.raises(InputError, match="declare resamples='trials'"):
            main(["table=other", "systems=[freeze]", *words[1:]])
    finally:
        forget_plugin(tmp_path / "other.py")


def test_it_resumes_and_a_new_metric_computes_itself_alone_and_no_motion(toy, words, tmp_path, monkeypatch):
    main(words)
    asked, measured, embedded = toy["system"].asked, toy["protocol"].measured, toy["extractor"].embedded
    assert len(asked) == len(set(asked)) == 12  # one motion an item, for two protocols, two rows and two rates
    counts = len(asked), len(measured), len(embedded)
    main(words)
    assert (len(asked), len(measured), len(embedded)) == counts
    read = tables.read_table
    monkeypatch.setattr(tables, "read_table", lambda path: replace(read(path), metrics=(*read(path).metrics, "jerk")))
    main(words)
    assert (len(asked), len(measured), len(embedded)) == counts
    assert ("trembling", "jerk", 50.0) in figures(tmp_path)


def test_a_changed_extractor_generates_nothing(toy, words, monkeypatch):
    main(words)
    asked, embedded = len(toy["system"].asked), len(toy["extractor"].embedded)
    monkeypatch.setattr(toy["extractor"].Heights, "digest", "heights, other weights")
    main(words)
    assert len(toy["system"].asked) == asked and len(toy["extractor"].embedded) > embedded


COUNTED = """
import os
from pathlib import Path
from baselines.base import System
from nerm.registry import plugins

class Counted:
    def __init__(self):
        trembling = next(module for module in plugins() if module.__name__.endswith("_system")).Trembling()
        self.made, self.name, self.digest, self.native_fps, self.facts = trembling, "counted", "1", 25.0, trembling.facts

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        with Path(os.environ["COUNT_FILE"]).open("a") as file:
            file.write("".join(f"{os.environ['RANK']} {seed}\\n" for seed in seeds))
        return self.made.sample(conditions, seconds, fps, seeds)

def load(name, checkpoint, device):
    return Counted()

ENTRIES = (System("counted", "Counted", f"{__name__}:load"),)
"""


def test_two_processes_generate_each_motion_once_and_give_the_same_figures_as_one(words, tmp_path):
    """Tier full asks for three motions an item: a block of motions for each, so that both processes have some to make."""
    plugin = tmp_path / "counted.py"
    plugin.write_text(COUNTED)
    settings = {"NERM_PLUGINS": f"{TOY}{os.pathsep}{plugin}", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(DOCS.parent)}
    count, logs, reports = tmp_path / "count.txt", {}, {}
    for processes in (2, 1):
        count.unlink(missing_ok=True)
        launcher = [
            "-m",
            "torch.distributed.run",
            f"--nproc-per-node={processes}",
            f"--master-port={29500 + os.getpid() % 400 + processes}",
        ]
        command = ["-m", "evaluators.run", *words, "systems=[counted]", "tier=full", f"cache={tmp_path / str(processes)}"]
        environment = os.environ | settings | {"COUNT_FILE": str(count)}
        subprocess.run([sys.executable, *launcher, *command], check=True, env=environment, capture_output=True, timeout=300)
        logs[processes] = [line.split() for line in count.read_text().splitlines()]
        reports[processes] = (tmp_path / "results" / "toy" / "toy.full.csv").read_bytes()
        shutil.rmtree(tmp_path / "results")
    seeds = [seed for _, seed in logs[2]]
    assert len(seeds) == len(set(seeds)) and sorted(seeds) == sorted(seed for _, seed in logs[1])
    assert {rank for rank, _ in logs[2]} == {"0", "1"}
    assert reports[2] == reports[1]


def test_toys_are_listed_beside_what_is_built_in(toy, capsys):
    main(["list"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("toy", "trembling", "heights", "speed_gap", "framerates", "anyrate"))


@pytest.mark.parametrize("text", ["x = (", "import nothing_of_that_name", "1 / 0"])
def test_a_plugin_that_cannot_be_imported_is_one_sentence(tmp_path, text):
    broken = tmp_path / "broken.py"
    broken.write_text(text)
    for _ in range(2):  # it is not taken for imported the second time
        with pytest.raises(InputError, match=r"broken\.py cannot be imported"):
            load_plugin(broken)


def test_a_name_that_is_taken_is_refused(toy, tmp_path):
    again = tmp_path / "again.py"
    again.write_text((TOY / "system.py").read_text())
    try:
        load_plugin(again)
        with pytest.raises(InputError, match="system 'trembling' is declared twice"):
            main(["list"])
    finally:
        forget_plugin(again)


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("add-a-dataset.md", "dataset.py"),
        ("add-a-system.md", "system.py"),
        ("add-an-extractor.md", "extractor.py"),
        ("add-a-protocol.md", "protocol.py"),
        ("add-a-metric.md", "metric.py"),
        ("add-a-table.md", "toy.yaml"),
    ],
)
def test_the_code_in_the_docs_is_the_toys(page, file):
    code = re.findall(r"^```(?:python|yaml)\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert (TOY / file).read_text() in code
