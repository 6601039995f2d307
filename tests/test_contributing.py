"""A stranger adds one of each, as CONTRIBUTING.md says: a file, and a line that names it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GPU = "start_time,window_name,elapsed_time,gpu0_energy\n"

# Of each: its file, what is inserted (in which file, before what), logs, and what is run on them.
ADDITIONS = {
    "log format": (
        {"readers/formats/dots.py": '''
import polars as pl

NAME = "dots"


def recognises(path, head):
    return head.startswith(b"dots ")


def parts(path, state):
    losses = [float(word) for word in path.read_text().split()[1:]]
    yield pl.DataFrame({"step": range(1, len(losses) + 1), "train_loss": losses})
'''},
        [("readers/discovery.py", "        delimited,\n", "        dots,\n"),
         ("readers/discovery.py", "syne_tune, offline_archive, ", "dots, ")],
        {"a.dots": "dots 3 2 1", "b.dots": "dots 3 2.5 2"},
        "[row['run'] for row in ec.rank('.', score='last_loss').table.to_dicts()]",
        ["a.dots", "b.dots"],
    ),
    "named pattern": (
        {},
        [("readers/formats/patterns.py", '        "llm.c": _LLM_C,\n',
          "        \"mine\": r\"it (?P<step>\\d+) l=(?P<train_loss>\\S+)\",\n")],
        {"a.txt": "it 1 l=3\nit 2 l=2\n"},
        "ec.read('a.txt', pattern='mine').observations['train_loss'].to_list()",
        [3.0, 2.0],
    ),
    "power log": (
        {"readers/power/meterbox.py": '''
from earlycall.readers.power import zeus

NAME = "Meterbox"


def recognises(path, head):
    return head.startswith(b"meterbox")


def load(path, zone=None):
    copy = path.with_name("zeus.csv")
    copy.write_text(path.read_text().partition("\\n")[2])
    return zeus.load(copy, zone)
'''},
        [("readers/power/logs.py", "codecarbon, nvidia_smi, zeus\n", "meterbox, "),
         ("readers/power/logs.py", "nvidia_smi, codecarbon, zeus)", "meterbox, ")],
        {"a.csv": "step,timestamp,train_loss\n0,100,3\n1,110,2\n2,120,1\n",
         "box.log": f"meterbox\n{GPU}100,train,20,50\n"},
        "ec.energy('a.csv', power='box.log').table['joules'].to_list()",
        [50.0],
    ),
    "score": (
        {"scores/first.py": '''
from earlycall.scores.registry import Scored, group_score


@group_score("first_loss")
def first_loss(prefixes):
    """The first loss. Raw: ℓ_1. Score: −ℓ_1."""
    return Scored.smaller_is_better(prefixes.loss.first(), sign=prefixes.sign)
'''},
        [("scores/registry.py", '"tse", "lcga")', '"first", ')],
        {"a.csv": "step,train_loss\n0,3\n1,1\n", "b.csv": "step,train_loss\n0,2\n1,2\n"},
        "ec.rank('.', score='first_loss').best()",
        "b.csv",
    ),
    "stop rule": (
        {"stopping/below.py": '''
from earlycall.stopping.rule import Rule


class BelowRule(Rule):
    """``below:LOSS``: stop at a loss below a bound."""

    FORM = "below:LOSS"
    FIELDS = ()
    __slots__ = ("bound",)

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def __str__(self) -> str:
        return f"below:{self.bound}"

    def reset(self) -> None:
        pass

    def update(self, loss: float, cost: float) -> bool:
        return loss < self.bound

    def reason(self) -> str:
        return "below the bound"
'''},
        [("stopping/parse.py", "from earlycall.stopping.budget",
          "from earlycall.stopping.below import BelowRule\n"),
         ("stopping/parse.py", '    "target": TargetRule,\n', '    "below": BelowRule,\n')],
        {},
        "[ec.parse_rule('below:1.5').update(loss, 0) for loss in (2.0, 1.0)]",
        [False, True],
    ),
    "loop's callback": (
        {"integrations/fake.py": '''
from earlycall.integrations.watch import MetricMonitor


class EarlyCall:
    """What a host calls after each epoch; True ends the training."""

    def __init__(self, metric, rule=None, cost="epoch"):
        self.watched = MetricMonitor(metric, rule, cost, None)

    def after_epoch(self, epoch, logs):
        return self.watched.update(logs, step=10 * epoch, epoch=epoch)
'''},
        [],
        {},
        "[early.after_epoch(e, {'loss': 0.5 ** e}) for early in [__import__("
        "'earlycall.integrations.fake').integrations.fake.EarlyCall('loss', 'budget:3')] "
        "for e in (1, 2, 3)]",
        [False, False, True],
    ),
    "figure": (
        {"plots/last.py": '''
from earlycall.plots.theme import palette, panels, styled


def last(ranking, *, theme="light"):
    """The last losses."""
    colours = palette(theme)
    figure = panels()
    prefixes = ranking.prefixes[0]
    figure.add_bar(x=list(prefixes.runs), y=prefixes.values.last())
    return styled(figure, colours)
'''},
        [("plots/__init__.py", "from earlycall.plots.ranking",
          "from earlycall.plots.last import last\n")],
        {"a.csv": "step,train_loss\n0,3\n1,1\n", "b.csv": "step,train_loss\n0,2\n1,2\n"},
        "list(__import__('earlycall.plots').plots.last(ec.rank('.')).data[0].y)",
        [1.0, 2.0],
    ),
    "result": (
        {"evaluation/lengths.py": '''
from dataclasses import dataclass

import polars as pl

from earlycall.results import Result


@dataclass(frozen=True)
class Lengths(Result):
    """How long curves are."""

    table: pl.DataFrame

    _figure = "ranking"

    def summary(self):
        return f"{self.table.height} runs"

    def to_dict(self):
        return {"runs": self.table.to_dicts()}


def lengths(curves):
    rows = curves.observations.group_by("run_id", maintain_order=True).len()
    return Lengths(rows)
'''},
        [("__init__.pyi", "from .ranking.rank import rank as rank",
          "from .evaluation.lengths import lengths as lengths\n")],
        {"a.csv": "step,train_loss\n0,3\n1,1\n"},
        "[ec.lengths(ec.read('.')).summary(), '1 runs' in ec.lengths(ec.read('.'))._repr_html_()]",
        ["1 runs", True],
    ),
    "command": (
        {"cli/count.py": '''
"""``earlycall count``: how many runs there are."""

from __future__ import annotations

from earlycall.cli import options, output


def command(paths: options.Paths) -> None:
    """Count the runs.

    Examples:
      earlycall count runs/
    """
    output.print_json({"runs": len(output.read(paths))})
'''},
        [("cli/__init__.py", '    "rank": "', '    "count": "Count the runs.",\n')],
        {"a.csv": "step,train_loss\n0,3\n1,1\n"},
        None,
        {"runs": 1},
    ),
}  # fmt: skip


def test_the_table_and_this_test_name_the_same_things():
    rows = [line.split("|") for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()]
    named = [row[1].strip() for row in rows if len(row) == 6]
    assert named[2:] == list(ADDITIONS)


@pytest.mark.parametrize("kind", ADDITIONS)
def test_one_file_and_the_line_that_names_it_are_enough(tmp_path, kind):
    files, changes, logs, expression, expected = ADDITIONS[kind]
    package, work = tmp_path / "src" / "earlycall", tmp_path / "work"
    shutil.copytree(ROOT / "src" / "earlycall", package, ignore=shutil.ignore_patterns("*.pyc"))
    for name, text in files.items():
        assert not (package / name).exists()
        (package / name).write_text(text.lstrip())
    for name, before, added in changes:
        text = (package / name).read_text()
        assert text.count(before) == 1, (name, before)
        (package / name).write_text(text.replace(before, added + before))
    work.mkdir()
    for name, text in logs.items():
        (work / name).write_text(text)
    program = f"import json, earlycall as ec; print(json.dumps({expression}))"
    arguments = ["-c", program] if expression else ["-m", "earlycall", "count", "."]
    ran = subprocess.run(
        [sys.executable, *arguments], cwd=work, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == expected
