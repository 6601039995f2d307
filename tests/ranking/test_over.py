"""Settings ranked by the mean over their seeds."""

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from earlycall.curves import CurveSet


def seeds(levels, spread=0.1, n=3, **columns):
    """Runs of a setting per level, and of n seeds."""
    x = np.arange(1, 21)
    runs = {
        f"{level}-{s}": level + 2 / x + spread * (s - (n - 1) / 2)
        for level in levels for s in range(n)
    }  # fmt: skip
    curves = CurveSet.from_losses(runs)
    names = curves.runs["run"].str.split("-")
    table = curves.runs.with_columns(
        pl.Series("hp.width", names.list.first().cast(pl.Float64)),
        pl.Series("hp.seed", names.list.last().cast(pl.Int64)),
        **{name: pl.Series(values) for name, values in columns.items()},
    )
    return CurveSet(curves.observations, table)


def test_the_interval_is_that_between_seeds():
    found = ec.rank(seeds([1.0, 2.0]), score="last_loss", over="hp.seed")
    first, second = found.table.iter_rows(named=True)
    assert (first["run"], first["rank"], first["n"]) == ("width=1", 1, 3)
    assert first["score"] == pytest.approx(-1.1)
    t, deviation = 2.776445, 0.1  # of 4 degrees of freedom; of seeds at -0.1, 0 and 0.1
    assert first["high"] - first["score"] == pytest.approx(t * deviation / 3**0.5, rel=1e-5)
    assert second["reason"] is None
    assert "can be told from all others" in found.summary()
    assert found.to_dict()["over"] == ["hp.seed"]


def test_settings_within_each_others_interval_are_tied():
    found = ec.rank(seeds([1.0, 1.01, 3.0]), score="last_loss", over="seed")
    assert [r is not None for r in found.table["reason"]] == [False, True, False]
    assert "width=1.01 cannot be told from it" in found.summary()


def test_a_diverged_seed_counts_as_the_worst_and_is_said():
    curves = seeds([1.0, 2.0, 3.0])
    bad = (pl.col("run_id") == 0) & (pl.col("step") > 10)
    rows = curves.observations.with_columns(
        train_loss=pl.when(bad).then(float("nan")).otherwise("train_loss")
    )
    found = ec.rank(CurveSet(rows, curves.runs), score="last_loss", over="hp.seed").table
    row = found.filter(pl.col("run") == "width=1").row(0, named=True)
    assert "1 of 3 runs diverged, counted as the worst" in row["reason"]
    assert row["score"] == pytest.approx((-1.1 - 1.2 - 3.2) / 3)


def test_what_cannot_be_averaged_over_is_asked():
    folder = {"hp.output_dir": [f"out/{i}" for i in range(6)]}
    with pytest.raises(ec.InputError, match=r"as --over hp\.seed,hp\.output_dir"):
        ec.rank(seeds([1.0, 2.0], **folder), over="hp.seed")
    found = ec.rank(seeds([1.0, 2.0], **folder), over="hp.seed,hp.output_dir")
    assert found.table["n"].to_list() == [3, 3]
    with pytest.raises(ec.InputError, match=r"no setting 'hp\.sed'.*hp\.seed"):
        ec.rank(seeds([1.0, 2.0]), over="hp.sed")
