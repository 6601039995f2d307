"""What the page sends and keeps is bounded, however many runs and steps there are."""

import json

import numpy as np
import polars as pl
import pytest

from earlycall import CurveSet
from earlycall.dashboard.access import Guard
from earlycall.dashboard.app import App
from earlycall.dashboard.live import Live
from earlycall.dashboard.view import View
from earlycall.readers.growing.follower import Follower
from earlycall.report.verdict import saving

RUNS, STEPS = 1200, 300


@pytest.fixture
def app(tmp_path):
    """The page over many runs, 600 of which diverged, in a folder of its own."""
    rng = np.random.default_rng(0)
    x = np.arange(1, STEPS + 1)
    losses = rng.uniform(0.5, 2, (RUNS, 1)) + 3 / x + rng.normal(0, 0.02, (RUNS, STEPS))
    losses[::2, STEPS // 2 :] = np.nan
    names = [f"run-{i:04d}" for i in range(RUNS)]
    settings = pl.DataFrame({"run": names, "hp.seed": [i % 9 for i in range(RUNS)]})
    settings = settings.with_columns(step_hint=2.0 * STEPS)
    curves = CurveSet.from_losses(dict(zip(names, losses, strict=True)))
    curves = CurveSet.from_frame(curves.frame(), settings)
    curves.write(tmp_path)
    live = Live(Follower(tmp_path))
    live.look()
    return App(live, Guard.of("127.0.0.1"), [tmp_path], None)


def test_an_update_has_as_many_bytes_as_the_eye_can_see(app):
    answer = app.answer("budget=50", "")
    curves = json.loads(answer)["figures"]["curves"]
    assert len(json.dumps(curves)) < 400_000
    assert curves["layout"]["xaxis"]["title"]["text"] == "step; 150 of 1,196 others"
    cross = next(t for t in curves["data"] if t.get("mode") == "markers")
    assert len(cross["text"]) == 500
    assert cross["name"] == "diverged, 500 of 600"


def test_of_many_runs_the_first_rows_are_shown_and_that_is_said(app):
    html = json.loads(app.answer("", ""))["html"]
    assert html.count('class="run"') == 100
    assert "Show 900 more" in html
    html = json.loads(app.answer("rows=all", ""))["html"]
    assert html.count('class="run"') == 1000
    assert "The first 1,000 of 1,200 runs; sort or filter to see others." in html
    html = json.loads(app.answer("rows=all&hp.seed=1", ""))["html"]
    assert html.count('class="run"') == 134
    assert "to see others" not in html


def test_of_many_runs_the_best_and_the_one_in_focus_are_measured(app):
    last = app.cache.ranked(View()).ranking.table.filter(pl.col("rank").is_not_null())["run"][-1]
    html = json.loads(app.answer(f"tab=elasticity&focus={last}", ""))["html"]
    assert html.count("<tr>") == 1 + 501
    assert f"{last}: " in html
    assert "The table has the best 500 of 1,200 runs; filter for others." in html


def test_rankings_are_kept_without_the_curves_that_they_were_made_of(app):
    for percent in range(1, 31):
        app.answer(f"budget={percent}", "")
        app.answer(f"budget=50&hp.seed={percent % 9}", "")
    kept = [future.result() for future in app.cache._results._results.values()]
    rankings = [result.ranking for result in kept if getattr(result, "ranking", None) is not None]
    assert len(kept) > 30
    assert max(p.frame.height for r in rankings for p in r.prefixes) <= 2 * RUNS
    assert all(getattr(result, "curves", None) is None for result in kept)
    figures = [result[0].figures for result in kept if isinstance(result, tuple)]
    assert figures
    assert not [f for by_name in figures for f in by_name.values() if f is not None]
    assert len(app.cache._filtered._results) <= 4


def test_what_stopping_saves_is_told_from_the_ends_of_what_was_seen(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"run": f"r{i}", "step": step, "train_loss": 1 + i + 3 / (step + 1), "seconds": 2.0 * step,
         "val_loss": None if step % 7 else 1.0}
        for i in range(5) for step in range(int(rng.integers(3, 60)))
    ]  # fmt: skip
    curves = CurveSet.from_frame(pl.DataFrame(rows)).prefix(horizon=100)
    for metric in ("train_loss", "val_loss"):
        (whole,) = curves.prefixes(metric=metric)
        ends = whole.ends()
        assert ends.frame.height < whole.frame.height
        assert saving(ends, whole.runs[:2]) == saving(whole, whole.runs[:2])
        assert (ends.ended == whole.ended).all()
        assert (ends.step.last() == whole.step.last()).all()
        assert (ends.values.last() == whole.values.last()).all()
