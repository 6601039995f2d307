"""What a report says, of real runs and of those that leave little to say."""

import re

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from conftest import earlycall
from earlycall.report import report

HOSTILE = {
    "<script>alert(1)</script>": 3.0, "</script><img src=x onerror=alert(2)>": 2.5,
    'quo"te\'s & {{ 7*7 }}': 2.0, "new\nline": 1.5, "شغّل 实验 🚀": 1.4, "\u202ereversed": 1.3,
    "| a | *b* | [c](d)": 1.2, "x" * 300: 1.1,
}  # fmt: skip


@pytest.fixture
def hostile():
    """A set whose every text is hostile: runs, groups, metrics, settings and values."""
    x = np.arange(1, 60)
    rows = [{"group": "<b>g</b>", "run": run, "step": int(s), "train_loss": k + 4 / s}
            for run, k in HOSTILE.items() for s in x]  # fmt: skip
    runs = [{"group": "<b>g</b>", "run": run, "hp.<i>a</i>": f"</td>{run}", "final": k,
             "final_metric": "<u>loss</u>"} for run, k in HOSTILE.items()]  # fmt: skip
    return ec.CurveSet.from_frame(pl.DataFrame(rows), pl.DataFrame(runs), name="<h1>set</h1>")


def column(made, title):
    return next(c for c in made.runs.columns if c.title == title)


def test_the_verdict_names_the_leader_and_what_stopping_saves(digits):
    made = report(digits, budget=0.1)
    (verdict,) = made.verdicts
    ranking = ec.rank(digits, budget=0.1)
    assert verdict.best == ranking.best()
    keep = ranking.verdicts["all"].keep
    assert set(verdict.stop) == set(ranking.table["run"]) - set(keep)
    assert ranking.table.filter(pl.col("run").is_in(keep))["p_first"].sum() >= 0.95
    # Each run has had a tenth of its training, so that nine tenths of the stopped ones are saved.
    assert verdict.saved == pytest.approx(0.9 * len(verdict.stop) / 16)
    first, sure, stop, saves, outcome = verdict.sentences
    assert first.startswith("From the first 10 % of training, cnn-16-32-bn_lr0.1 leads 16 runs")
    assert "cannot be told apart" in sure
    assert stop.startswith("Keep these 13, 95 % sure to hold the best: cnn-16-32-bn_lr0.1, mlp-32")
    assert "; stop the other 3: mlp-16x5-sigmoid_lr0.003, mlp-4_lr0.003 and mlp-16" in stop
    assert "saves 17 % of the training of all runs" in saves
    assert outcome == (
        "As it turned out, it ended first of 16; scores and outcomes correlate by 0.81 (Spearman)."
    )
    assert [s.key for s in made.sections] == [
        "curves", "ranking", "elasticity", "rules", "agreement", "outcomes",
    ]  # fmt: skip


def test_of_very_many_runs_those_to_keep_are_still_many():
    rng = np.random.default_rng(0)
    losses = {f"r{i}": 1 + i / 200 + 3 / np.arange(1, 41) + rng.normal(0, 0.05, 40)
              for i in range(400)}  # fmt: skip
    ranking = ec.rank(losses, budget=0.5)
    (verdict,) = report(losses, budget=0.5).verdicts
    assert verdict.best == ranking.best()
    assert verdict.best not in verdict.stop
    assert 200 < len(verdict.stop) < 380


@pytest.fixture
def past(digits):
    """Ten of the bundled runs, as finished ones, and the others, after a tenth of training."""
    whole = ec.read(digits)
    done = pl.Series(np.arange(16) % 8 < 5)
    return whole.filter(done), whole.filter(~done)


def test_it_says_what_was_learned_and_what_that_changed(past, tmp_path):
    finished, running = past
    made = report(running, budget=0.1, finished=finished)
    assert made.ranking.learned_from == {"all": 10}
    assert ("Learned from", "10 finished runs") in made.how
    changed = made.verdicts[0].sentences[2]
    assert changed == "What 10 finished runs taught changed no place."
    assert changed in made.markdown().replace("\\", "")
    moved = column(made, "moved")
    assert set(moved.values) == set(made.ranking.table["moved"])
    assert all(text[:1] in "+−0" for text in moved.texts)
    assert column(made, "like").texts[0].count(" and ") <= 1
    # The command, too, and the terminal with one line a run.
    for name, part in (("past", finished), ("now", running)):
        part.write(tmp_path / name)
    page = tmp_path / "r.md"
    options = ("--budget", "10%", "--finished", tmp_path / "past")
    assert earlycall("report", tmp_path / "now", *options, "-o", page).code == 0
    assert "Learned from: 10 finished runs" in page.read_text()
    ran = earlycall("rank", tmp_path / "now", *options)
    assert "the first 10 % of 1140 steps, and 10 finished runs" in ran.out
    assert changed in " ".join(ran.out.split())
    assert "which ended" not in ran.out
    bare = earlycall("report", tmp_path / "now", "--finished", tmp_path / "nothing", "-o", page)
    assert bare.code == 2


def test_the_verdict_does_not_look_past_the_budget(digits):
    whole = ec.read(digits)
    torn = pl.when(pl.col("step") > 114).then(9.0).otherwise(pl.col("train_loss"))
    other = ec.CurveSet.from_frame(whole.frame().with_columns(train_loss=torn), whole.runs)
    a, b = (report(c, budget=0.1) for c in (whole, other))
    assert a.verdicts[0].sentences == b.verdicts[0].sentences


def test_the_table_has_every_run_with_its_settings(digits):
    made = report(digits, budget=0.1)
    assert [c.title for c in made.runs.columns][:7] == [
        "rank", "run", "P(best 3)", "P(first)", "verdict", "outlook", "learning_rate",
    ]  # fmt: skip
    assert {len(c.cells) for c in made.runs.columns} == {16}
    assert column(made, "run").cells[0] == ("cnn-16-32-bn_lr0.1", "cnn-16-32-bn_lr0.1.csv")
    assert column(made, "learning_rate").cells[0] == ("0.1", 0.1)


def test_finished_runs_have_nothing_to_stop(digits):
    (verdict,) = report(digits).verdicts
    assert verdict.saved == 0
    assert any("nothing to stop" in s for s in verdict.sentences)


@pytest.mark.parametrize(
    ("curves", "sections", "words"),
    [
        ({"a": 1 + 3 / np.arange(1, 60)}, {"curves", "elasticity", "rules"}, "only one run"),
        ({"a": [3.0, 2.0], "b": [3.0, 2.5]}, {"curves", "ranking", "rules"}, None),
        ({"a": [np.nan] * 3, "b": [np.inf] * 3}, {"curves"}, None),
        ({"a": [2.0, 1.0, 0.5, np.nan], "b": [2.0, 1.5, 1.2, 1.1]}, {"curves", "ranking"}, None),
        ({"a": [0.0] * 9, "b": [0.0] * 9}, {"curves", "ranking"}, None),
        ({"a": [-1.0, -2.0, -3.0] * 9, "b": [-1.0, -2.0, -2.5] * 9}, {"curves", "ranking"}, None),
    ],
)
def test_what_the_curves_do_not_hold_is_left_out(curves, sections, words):
    made = report(curves)
    assert sections <= {s.key for s in made.sections}
    assert (made.problem is None) == (words is None)
    if words:
        assert words in made.problem
    assert "</html>" in made.html()
    assert "## Runs" in made.markdown()
    assert "<table" in made._repr_html_() or made.ranking is None


def test_groups_have_a_verdict_each(tmp_path):
    rows = [{"group": g, "run": r, "step": s, "loss": k + 9 / s, "joules": 3.0 * s}
            for g in "xyz" for k, r in enumerate("abc") for s in range(1, 30)]  # fmt: skip
    made = report(pl.DataFrame(rows), budget=0.5)
    assert [(v.group, v.best) for v in made.verdicts] == [("x", "a"), ("y", "a"), ("z", "a")]
    assert column(made, "group").cells[0] == ("x", "x")
    assert "energy" in {s.key for s in made.sections}
    assert "## y" in made.markdown()


def test_hostile_texts_are_text_in_every_form(hostile):
    made = report(hostile, budget=0.5)
    page, text = made.html(), made.markdown()
    for form in (page, made._repr_html_(), made.ranking._repr_html_()):
        for mark in ("<script>alert", "<img", "<b>g", "<i>a", "<u>", "<h1>set", "</td>x", "\u202e"):
            assert mark not in form, mark
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in form
    assert "{{ 7*7 }}" in page
    assert "\\<script\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_a_page_is_small_and_holds_the_library_once():
    rng = np.random.default_rng(0)
    x = np.arange(1, 1001)
    losses = {f"sweep-{i:03}-lr{10.0 ** -(i % 5):g}": 1 + i / 200 + 30 / (x + i) +
              rng.normal(0, 0.05, 1000) for i in range(200)}  # fmt: skip
    page = report(losses, budget=0.2).html()
    assert len(page.encode()) < 6e6
    assert "sweep-199" in page
    assert "http" not in page.replace("http-equiv", "")


def test_notebook_forms_of_results(digits):
    ranking = ec.rank(digits, budget=0.1)
    form = ranking._repr_html_()
    assert "cnn-16-32-bn_lr0.1" in form
    assert "<script" not in form
    evaluated = ec.evaluate(digits, scores=["tse", "last_loss"], budgets=[0.1], resamples=0)
    assert "+0.80" in evaluated._repr_html_()
    assert "patience:3" in ec.replay(digits, ["patience:3"])._repr_html_()


def test_a_notebook_shows_a_line_a_run_of_what_matters(digits):
    for result in (ec.elasticity(digits), ec.fit_many(ec.read(digits))):
        form = result._repr_html_()
        heads = re.findall(r"<th[^>]*>(\w+)</th>", form)
        assert heads[0] == "run"
        assert len(heads) <= 8
        assert ">mlp-4_lr0.1<" in form
        assert "white-space: nowrap" in form


def test_the_command_writes_a_page_and_markdown(tmp_path, digits):
    ran = earlycall("report", digits, "--budget", "10%", "-o", tmp_path / "r.html")
    assert ran.code == 0, ran.err
    assert ran.out.strip() == str(tmp_path / "r.html")
    assert "leads 16 runs" in ran.err
    assert (tmp_path / "r.html").stat().st_size < 6e6
    ran = earlycall("report", digits, "--title", "Mine", "-o", tmp_path / "r.md")
    assert (tmp_path / "r.md").read_text().startswith("# Mine\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.html", "r.md"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{}", "-o", "r.docx"], "written as .html or .md"),
        (["{}", "-o", "no/such/r.html"], "cannot be written"),
        (["{}", "--group", "x"], "has no group 'x'"),
        (["{}", "--budget", "200%"], "outside (0, 1]"),
        (["{}", "--metric", "x"], "has no column 'x'"),
        (["{}", "--score", "x"], "unknown score"),
        (["/nowhere"], "no such file or folder"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, sentence, digits, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = earlycall("report", *(str(digits) if a == "{}" else a for a in arguments))
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert ran.err.count("\n") == 1
