"""Learning from finished runs: what they teach, when they do, and what must not matter."""

import numpy as np
import polars as pl
import pytest

from earlycall import CurveSet, evaluate, rank
from earlycall.errors import InputError
from earlycall.ranking.finished import _inverse
from earlycall.scores.ranks import rank_correlation

STEPS = 60


def world(seed: int = 0, n: int = 80, group: str = "g") -> CurveSet:
    """Runs whose loss falls to a level of its own, and those of a high decay far below it late."""
    rng = np.random.default_rng(seed)
    level, decay = rng.uniform(1, 2, n), rng.uniform(0, 1, n)
    k = np.arange(1, STEPS + 1)
    late = 1 / (1 + np.exp(-(k - 45) / 3))
    loss = level[:, None] * (1 + 2 / k) - 1.2 * decay[:, None] * late
    loss += 0.01 * rng.normal(size=loss.shape)
    runs = [f"r{i:03d}" for i in range(n)]
    curves = pl.DataFrame({
        "group": group, "run": np.repeat(runs, STEPS), "step": np.tile(k, n),
        "train_loss": loss.ravel(),
    })  # fmt: skip
    table = pl.DataFrame({
        "group": group, "run": runs, "final": loss[:, -1], "final_metric": "loss",
        "hp.decay": decay, "hp.kind": np.where(decay > 0.5, "high", "low"),
    })  # fmt: skip
    return CurveSet.from_frame(curves, table, name="world")


def split(curves: CurveSet, k: int, seed: int = 0) -> tuple[CurveSet, CurveSet, pl.DataFrame]:
    """What is running (a fifth of its curves, no outcome), what has finished, and the truth."""
    done = np.random.default_rng(seed).permutation(len(curves))[:k]
    mask = pl.Series(np.isin(np.arange(len(curves)), done))
    left = curves.filter(~mask)
    running = left.prefix(steps=STEPS // 5)
    return (
        CurveSet(running.observations, left.runs.drop("final", "final_metric")),
        curves.filter(mask),
        left.runs.select("run", "final"),
    )


def agreement(ranking, truth: pl.DataFrame) -> float:
    both = ranking.table.join(truth, on="run")
    return rank_correlation(both["rank"].to_numpy().astype(float), both["final"].to_numpy())


@pytest.mark.parametrize(("k", "gain"), [(5, 0.0), (20, 0.1), (40, 0.2)])
def test_finished_runs_say_who_will_gain(k, gain):
    margins = []
    for seed in range(3):
        running, past, truth = split(world(seed), k, seed)
        without = agreement(rank(running, horizon=STEPS), truth)
        ranking = rank(running, horizon=STEPS, finished=past)
        assert ranking.learned_from == {"g": k}
        margins.append(agreement(ranking, truth) - without)
    assert np.mean(margins) > gain


def test_another_group_teaches_less_than_the_same_but_something():
    running, past, truth = split(world(1), 30, 1)
    _, other, _ = split(world(2, group="h"), 30, 1)
    without, elsewhere, same = (
        agreement(rank(running, horizon=STEPS, finished=p), truth) for p in (None, other, past)
    )
    assert without < elsewhere < same


def test_what_must_not_matter():
    """The scale of outcomes and losses, the order of runs; and one finished run teaches nothing."""
    running, past, _ = split(world(3), 20)
    order = rank(running, horizon=STEPS, finished=past).table["run"].to_list()
    bent = CurveSet(past.observations, past.runs.with_columns(final=pl.col("final").exp() * 1e6))
    assert rank(running, horizon=STEPS, finished=bent).table["run"].to_list() == order
    larger = [
        CurveSet(c.observations.with_columns(train_loss=pl.col("train_loss") * 1024), c.runs)
        for c in (running, past)
    ]
    assert rank(larger[0], horizon=STEPS, finished=larger[1]).table["run"].to_list() == order
    back = CurveSet.from_frame(past.frame().reverse(), past.runs.reverse())
    assert rank(running, horizon=STEPS, finished=back).table["run"].to_list() == order
    one = past.filter(pl.Series(np.arange(len(past)) == 0))
    alone = rank(running, horizon=STEPS, finished=one)
    assert alone.table.equals(rank(running, horizon=STEPS).table)
    assert alone.learned_from == {"g": 0}
    assert "g: nothing was learned from 1 finished run: it takes two or more" in alone.warnings[0]


def test_runs_that_are_ranked_do_not_teach_their_own_outcome():
    curves = world(5)
    running = curves.prefix(steps=STEPS // 5)
    running = CurveSet(running.observations, curves.runs.drop("final", "final_metric"))
    itself = rank(running, horizon=STEPS, finished=curves)
    assert itself.learned_from == {"g": 0}
    assert itself.table.equals(rank(running, horizon=STEPS).table)
    assert "80 finished runs are among the ranked ones themselves" in itself.warnings[0]
    assert "no other is left" in itself.warnings[0]
    first = pl.Series(np.arange(80) < 30)
    some = CurveSet(running.observations, running.runs).filter(~first)
    both = rank(some, horizon=STEPS, finished=curves)
    only = rank(some, horizon=STEPS, finished=curves.filter(first))
    assert both.table.equals(only.table)
    assert any("the 30 others are learned from" in said for said in both.warnings)
    # Another run of the same name has other losses, and teaches.
    namesakes = rank(running, horizon=STEPS, finished=world(6))
    assert namesakes.learned_from == {"g": 80}
    assert not any("themselves" in said for said in namesakes.warnings)


def test_a_set_in_which_some_have_finished_learns_by_itself():
    curves = world(4)
    running, past, truth = split(curves, 30)
    hidden = curves.runs.with_columns(
        final=pl.when(pl.col("run").is_in(past.runs["run"].to_list())).then("final")
    )
    mixed = CurveSet.from_frame(pl.concat([running.frame(), past.frame()]), hidden)
    ranking = rank(mixed)
    assert ranking.learned_from == {"g": 30}
    assert agreement(ranking, truth) > agreement(rank(running, horizon=STEPS), truth) + 0.1
    finished = ranking.table.filter(pl.col("reason") == "finished")
    assert sorted(finished["run"]) == sorted(past.runs["run"])
    assert agreement(ranking, past.runs.select("run", "final")) > 0.99
    assert rank(mixed, score="last_loss").learned_from == {"g": 0}
    # Where all have finished there is nobody to say it of, and outcomes are no part of a prefix.
    assert rank(curves, budget=0.2).learned_from == {"g": 0}


def test_reasons_name_finished_runs_and_the_runs_to_keep_hold_the_first():
    running, past, _ = split(world(5), 30)
    ranking = rank(running, horizon=STEPS, finished=past)
    reason = ranking.table["reason"][0]
    named = [run for run in past.runs["run"] if run in reason]
    assert len(named) == 2
    assert "early standing" in reason
    keep = ranking.verdicts["g"].keep
    assert keep[0] == ranking.best("g")
    chance = ranking.table.filter(pl.col("run").is_in(list(keep)))["p_first"].sum()
    assert 0.95 <= chance < 1
    assert len(keep) < len(running)
    assert len(keep) < len(rank(running, horizon=STEPS).verdicts["g"].keep)


def test_what_was_learned_is_told_run_by_run_and_in_words():
    running, past, _ = split(world(5), 30)
    before, after = (rank(running, horizon=STEPS, finished=p) for p in (None, past))
    both = after.table.join(before.table.select("run", "rank"), on="run")
    assert (both["rank_right"] - both["rank"]).to_list() == both["moved"].to_list()
    assert before.table["moved"].null_count() == len(running)
    gained = past.runs.with_columns(place=pl.col("final").rank())
    early = rank(past, budget=0.2).table.select("run", early="rank")
    gained = gained.join(early, on="run").select("run", gain=pl.col("early") - pl.col("place"))
    gain = dict(gained.iter_rows())
    agree = []
    for run, moved, reason in after.table.select("run", "moved", "reason").iter_rows():
        named = reason.removeprefix("like ").split(",")[0].split(" and ")
        agree += [np.sign(gain[one]) == np.sign(moved) for one in named if abs(moved) > 2]
        assert run not in named
    assert np.mean(agree) > 0.9
    said = after.sentences("g")[2]
    most = both.sort(pl.col("moved").abs(), descending=True, maintain_order=True)["run"][0]
    assert said.startswith("Learning from 30 finished runs moved runs by ")
    assert f", {most} most (" in said
    assert f"; without it {before.best()} would lead" in said


def test_one_list_says_whom_to_keep_and_whom_to_stop():
    running, past, _ = split(world(5), 30)
    ranking = rank(running, horizon=STEPS, finished=past)
    keep, stop = ranking.keep("g"), ranking.stop("g")
    assert keep == ranking.verdicts["g"].keep
    assert sorted([*keep, *stop]) == sorted(running.runs["run"])
    told = ranking.to_dict()
    assert (told["keep"], told["stop"]) == ({"g": list(keep)}, {"g": list(stop)})
    assert f"Keep these {len(keep)}, 95 % sure to hold the best" in ranking.summary()
    assert f"; stop the other {len(stop)}: " in ranking.summary()
    # What has finished or has no training left cannot be stopped.
    mixed = CurveSet.from_frame(pl.concat([running.frame(), past.frame()]), past.runs, name="mixed")
    assert set(rank(mixed).stop("g")) <= set(running.runs["run"])
    assert rank(world(5)).stop("g") == ()
    assert "Keep these" not in rank(world(5)).summary()


def test_what_cannot_be_learned_from_is_said():
    running, past, _ = split(world(6), 10)
    with pytest.raises(InputError, match="no outcomes"):
        rank(running, horizon=STEPS, finished=running)
    with pytest.raises(InputError, match="tse does not learn"):
        rank(running, horizon=STEPS, score="tse", finished=past)


def test_evaluate_hides_all_outcomes_but_those_of_the_finished():
    options = {"scores": ["outlook", "last_loss"], "budgets": [0.2], "resamples": 0}
    without, learned = (evaluate(world(7), finished=k, **options).table for k in (0, 30))
    assert without["n"].to_list() == [80, 80]
    assert learned["n"].to_list() == [50, 50]
    margin = [t["spearman"][0] - t["spearman"][1] for t in (without, learned)]
    assert margin[1] > margin[0] + 0.1


@pytest.mark.parametrize("n", [1, 89, 90, 137, 200, 201])
def test_an_inverse_by_blocks_is_the_inverse(n):
    x = np.random.default_rng(n).normal(size=(n, 5))
    matrix = np.exp(-np.abs(x[:, None] - x).mean(-1)) + 0.15 * np.eye(n)
    np.testing.assert_allclose(_inverse(matrix) @ matrix, np.eye(n), atol=1e-12)
