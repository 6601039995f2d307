"""The comparison on the project's own real curves, and its statistics against scipy's."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import kendalltau, spearmanr

from conftest import earlycall
from earlycall import CurveSet, InputError, read
from earlycall.evaluation.agreement import agreement, resampled
from earlycall.evaluation.by_epochs import compare

STUDIES = Path(__file__).parents[2] / "examples" / "study"
SETS = sorted(path.parent for path in STUDIES.glob("*/curves.parquet"))


def test_weights_of_one_give_the_agreement_and_more_weight_is_a_run_more_often():
    rng = np.random.default_rng(3)
    outcome, score = rng.normal(size=12), rng.integers(0, 5, 12).astype(float)
    plain, times = agreement(score, outcome, resamples=0), rng.integers(0, 3, (4, 12)).astype(float)
    one = resampled(score, outcome, np.ones((1, 12)))
    assert one.spearman[0] == pytest.approx(plain.spearman)
    assert one.kendall[0] == pytest.approx(plain.kendall)
    assert one.top1_regret[0] == pytest.approx(plain.top1_regret)
    several = resampled(score, outcome, times)
    for i, drawn in enumerate(times.astype(int)):
        s, o = np.repeat(score, drawn), np.repeat(outcome, drawn)
        assert several.kendall[i] == pytest.approx(kendalltau(s, o).statistic)
        assert several.top1_regret[i] == pytest.approx(
            (o.max() - o[s == s.max()].mean()) / (o.max() - np.median(o))
        )
    distinct = rng.permutation(12).astype(float)
    found = resampled(distinct, outcome, np.ones((1, 12))).spearman[0]
    assert found == pytest.approx(spearmanr(distinct, outcome).statistic)


@pytest.fixture(scope="module")
def fashion():
    return read(STUDIES / "fashion")


def test_the_real_study_is_as_large_as_it_claims(fashion):
    runs = fashion.runs
    assert runs["arch.name"].n_unique() >= 12
    assert runs["hp.setting"].n_unique() >= 4
    assert len(fashion) == runs["arch.name"].n_unique() * runs["hp.setting"].n_unique()
    assert fashion.observations["epoch"].max() == 19
    assert runs["final"].is_between(0, 1).all()
    assert {"arch.params", "arch.flops", "arch.graph", "arch.family"} <= set(runs.columns)
    size = sum(path.stat().st_size for path in STUDIES.glob("*/*.parquet"))
    assert size < 3e6


def test_scores_are_compared_in_all_views_from_steps_and_from_epochs(fashion):
    found = compare(fashion, epochs=[1, 3], resamples=50)
    table = found.table
    keys = ["view", "level", "from", "score", "epochs"]
    assert table.height == 3 * 2 * 13 * 2 == table.unique(keys).height
    few = table.filter(pl.col("score").str.starts_with("lcga"), pl.col("epochs") == 1)
    assert few["spearman"].null_count() == few.height  # no epoch is left after the burn-in
    rest = table.filter(pl.col("spearman").is_not_null())
    assert rest["spearman"].is_between(-1, 1).all()
    assert (rest["spearman_low"] <= rest["spearman_high"]).all()
    assert (rest["points_lost"] >= 0).all()
    # A loss per epoch or per step is the same to TSE, which takes epochs' means.
    tse = table.filter(pl.col("score") == "tse", pl.col("view") == "overall", pl.col("epochs") == 3)
    assert tse["spearman"][0] == pytest.approx(tse["spearman"][1], abs=1e-3)
    assert set(found.savings["kept"]) == {1, 3, 5}
    assert found.savings["cost_pct"].is_between(0, 100).all()


def test_one_view_is_computed_by_hand(fashion):
    """Spearman across the architectures of a setting, from the mean loss of the first 2 epochs."""
    early = fashion.observations.filter(pl.col("epoch") < 2).group_by("run_id", "epoch").agg(
        pl.col("train_loss").mean()).group_by("run_id").agg(pl.col("train_loss").sum())  # fmt: skip
    known = fashion.runs.with_row_index("run_id").join(early, on="run_id")
    known = known.filter(pl.col("train_loss").is_finite())
    each = [
        spearmanr(-one["train_loss"], one["final"]).statistic
        for _, one in known.group_by("hp.setting")
    ]
    table = compare(fashion, epochs=[2], resamples=0).table
    row = table.filter(
        pl.col("view") == "architectures", pl.col("score") == "tse", pl.col("level") == "step"
    )
    assert row["spearman"][0] == pytest.approx(np.mean(each), abs=2e-3)  # losses of 7 digits tie


def test_runs_that_cannot_be_judged_are_left_out_and_counted(fashion):
    runs = fashion.runs.with_columns(
        final=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise(pl.col("final"))
    )
    cut = CurveSet(fashion.observations, runs, "cut")
    before, after = (
        compare(c, epochs=[2], resamples=0).table.filter(pl.col("view") == "overall")
        for c in (fashion, cut)
    )
    assert set(after["n"]) == {len(fashion) - 5 - before["excluded"][0]}
    assert compare(cut, epochs=[20], resamples=0).table.height == 0  # nothing is left to train


def test_a_set_that_is_no_studys_is_refused(digits):
    with pytest.raises(InputError, match=r"no column 'hp\.setting'.*earlycall study export"):
        compare(read(digits))


def test_the_command_prints_tables_json_and_draws(tmp_path):
    drawn = tmp_path / "page.html"
    ran = earlycall(
        "study",
        "report",
        STUDIES / "fashion",
        "--epochs",
        "1,3",
        "--format",
        "json",
        "--plot",
        drawn,
    )
    assert ran.code == 0, ran.err
    assert set(ran.json) == {"rows", "savings"}
    assert "epochs seen" in drawn.read_text()
    ran = earlycall("study", "report", STUDIES / "fashion", "--epochs", "3")
    assert "architectures under one setting, a loss per epoch" in ran.out
    assert "the best 3 to the end" in ran.out
    ran = earlycall("study", "report", STUDIES / "fashion", "--epochs", "0,x")
    assert ran.code == 2
    assert "--epochs '0,x' must be whole numbers" in ran.err


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.name)
def test_each_set_was_trained_by_the_plan_beside_it(path):
    from earlycall.study.plan import Plan

    plan, runs = Plan.load(path.with_suffix(".yaml")), read(path).runs
    assert sorted(run.name for run in plan.runs()) == runs["run"].to_list()
    for run in plan.runs():
        row = runs.row(by_predicate=pl.col("run") == run.name, named=True)
        assert {key: row[f"hp.{key}"] for key in run.hyper} == run.hyper
