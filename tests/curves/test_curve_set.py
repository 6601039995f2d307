"""Curves from tables and arrays: cleaning, prefixes, axes."""

import resource
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earlycall import CurveSet, CurveWarning, InputError, Ragged

ROWS = {
    "group": ["g"] * 5,
    "run": ["a", "a", "b", "b", "b"],
    "step": [1, 2, 1, 2, 3],
    "train_loss": [3.0, 2.0, 3.0, 2.5, 2.4],
}


def losses(curves: CurveSet, run: str) -> list[float]:
    return curves.curve(run).loss.tolist()


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, pl.LazyFrame])
def test_tables_of_every_kind_give_the_same_curves(make):
    curves = CurveSet.from_frame(make(ROWS))
    assert losses(curves, "a") == [3.0, 2.0]
    assert losses(curves, "b") == [3.0, 2.5, 2.4]
    assert curves.groups == ["g"]


def test_what_is_no_table_is_refused():
    with pytest.raises(InputError, match="expected a pandas, polars or Arrow table, got int"):
        CurveSet.from_frame(3)


def test_losses_as_mapping_and_as_matrix():
    curves = CurveSet.from_losses({"a": [2, 1], "b": [3.0]})
    assert losses(curves, "b") == [3.0]
    assert CurveSet.from_losses(np.ones((2, 3))).curve("1").step.tolist() == [1, 2, 3]
    with pytest.raises(InputError, match="run 'a': losses must be numbers"):
        CurveSet.from_losses({"a": ["x"]})
    with pytest.raises(InputError, match="losses must be"):
        CurveSet.from_losses(np.ones(3))


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    rows = list(zip(*ROWS.values(), strict=True))
    random.shuffle(rows)
    shuffled = CurveSet.from_frame(pl.DataFrame(rows, schema=list(ROWS), orient="row"))
    assert shuffled.observations.equals(CurveSet.from_frame(pl.DataFrame(ROWS)).observations)


def test_the_last_value_of_a_step_wins_with_a_warning():
    table = pl.DataFrame({"run": ["a"] * 4, "step": [1, 2, 3, 2], "loss": [4.0, 3.0, 2.0, 1.0]})
    with pytest.warns(CurveWarning, match="run 'a': 1 steps were logged more than once"):
        curves = CurveSet.from_frame(table)
    assert losses(curves, "a") == [4.0, 1.0, 2.0]


def test_sparse_rows_of_a_step_are_joined_without_a_warning(recwarn):
    table = pl.DataFrame(
        {
            "step": [1, 2, 2, 3],
            "train_loss": [3.0, 2.0, None, 1.0],
            "val_loss": [None, None, 9, None],
        }
    )
    curves = CurveSet.from_frame(table)
    assert curves.observations["val_loss"].to_list() == [None, 9, None]
    assert losses(curves, "run") == [3.0, 2.0, 1.0]
    assert not recwarn.list


def test_steps_that_start_anew_in_each_epoch_are_numbered_through():
    table = pl.DataFrame(
        {"epoch": [0, 0, 1, 1], "step": [0, 1, 0, 1], "train_loss": [4.0, 3.0, 2.0, 1.0]}
    )
    with pytest.warns(CurveWarning, match="steps start anew in each epoch"):
        curves = CurveSet.from_frame(table)
    assert losses(curves, "run") == [4.0, 3.0, 2.0, 1.0]


def test_nan_and_infinities_are_kept_and_missing_is_not_nan():
    curves = CurveSet.from_losses({"a": [2.0, np.nan, np.inf], "b": [2.0, 1.0, 0.5]})
    assert curves.curve("a").diverged
    assert not curves.curve("b").diverged
    assert np.isnan(curves.curve("a").loss[1])


def test_a_row_without_any_metric_records_a_nan_since_pandas_cannot_tell():
    table = pd.DataFrame({"run": ["a"] * 3, "step": [1, 2, 3], "train_loss": [2.0, 1.0, np.nan]})
    assert CurveSet.from_frame(table).curve("a").diverged
    table["val_loss"] = [np.nan, np.nan, 1.0]
    assert losses(CurveSet.from_frame(table), "a") == [2.0, 1.0]


def test_validation_names_run_column_and_row():
    table = pl.DataFrame({"run": ["a", "a", "b"], "step": [1, 2, 1], "loss": ["2", "1", "oops"]})
    with pytest.raises(InputError, match="run 'b', column 'loss', row 2: 'oops' is not a number"):
        CurveSet.from_frame(table)
    table = pl.DataFrame({"run": ["a", "a"], "step": [1, None], "loss": [2.0, 1.0]})
    with pytest.raises(InputError, match="run 'a', column 'step', row 1"):
        CurveSet.from_frame(table)
    table = pl.DataFrame({"run": ["a", None], "step": [1, 2], "loss": [2.0, 1.0]})
    with pytest.raises(InputError, match="column 'run', row 1: the name is missing"):
        CurveSet.from_frame(table)


def test_a_table_of_runs_with_a_run_twice_is_refused():
    runs = pl.DataFrame({"run": ["a", "a"], "final": [1.0, 2.0]})
    with pytest.raises(InputError, match="two rows for run 'a'"):
        CurveSet.from_frame(pl.DataFrame(ROWS), runs)


def test_prefix_by_budget_steps_and_epochs():
    n = 100
    table = pl.DataFrame(
        {"step": range(1, n + 1), "epoch": [i // 10 for i in range(n)], "train_loss": [1.0] * n}
    )
    curves = CurveSet.from_frame(table)
    assert curves.prefix(budget=0.2).observations.height == 20
    assert curves.prefix(budget=0.2, horizon=200).observations.height == 40
    assert curves.prefix(steps=7).observations.height == 7
    assert curves.prefix(epochs=3).observations.height == 30
    assert curves.prefix(budget=0.01).observations.height == 3, "at least the first 3"
    assert curves.prefix(budget=0.2).horizon("all") == 100, "the horizon is that of the whole"
    for wrong in (0, -0.1, 1.5):
        with pytest.raises(InputError, match=r"budget .* is outside \(0, 1\]"):
            curves.prefix(budget=wrong)
    with pytest.raises(InputError, match="not several"):
        curves.prefix(budget=0.1, steps=3)


def test_the_horizon_is_the_median_hint_where_there_is_one():
    runs = pl.DataFrame({"run": ["a", "b"], "step_hint": [10, 30]})
    curves = CurveSet.from_frame(pl.DataFrame(ROWS), runs)
    assert curves.horizon("g") == 20
    assert CurveSet.from_frame(pl.DataFrame(ROWS)).horizon("g") == 3


def test_epochs_are_counted_from_zero_also_when_they_are_fractions():
    table = {"step": [1, 2, 3, 4], "train_loss": [4.0, 3.0, 2.0, 1.0]}
    for epoch in ([5, 5, 6, 6], [0.5, 1.0, 1.5, 2.0], [0.0, 0.5, 1.5, 2.0]):
        curves = CurveSet.from_frame(pl.DataFrame({**table, "epoch": epoch}))
        assert curves.observations["epoch"].to_list() == [0, 0, 1, 1], epoch


def test_axes():
    table = pl.DataFrame(
        {
            "step": [10, 20, 30, 40],
            "epoch": [0, 0, 1, 1],
            "seconds": [1.0, 2.5, 3.0, 4.0],
            "loss": [4.0, 3.0, 2.0, 1.0],
        }
    )
    curves = CurveSet.from_frame(table)
    x = {axis: curves.prefixes(axis=axis)[0].x[0].tolist() for axis in
         ("observation", "step", "epoch", "seconds")}  # fmt: skip
    assert x == {
        "observation": [1, 2, 3, 4],
        "step": [10, 20, 30, 40],
        "epoch": [0.5, 1.0, 1.5, 2.0],
        "seconds": [1.0, 2.5, 3.0, 4.0],
    }
    with pytest.raises(InputError, match="no column 'seconds'; use one of: observation, step"):
        _ = CurveSet.from_losses({"a": [1.0]}).prefixes(axis="seconds")[0].x
    with pytest.raises(InputError, match="axis 'hours' is unknown"):
        curves.prefixes(axis="hours")


def test_an_axis_that_is_missing_beside_a_loss_names_the_run():
    table = pl.DataFrame({"step": [1, 2], "seconds": [1.0, None], "loss": [2.0, 1.0]})
    with pytest.raises(InputError, match="run 'run': 'seconds' is missing"):
        _ = CurveSet.from_frame(table).prefixes(axis="seconds")[0].x


def test_the_metric_is_the_training_loss_unless_it_is_named():
    table = pl.DataFrame({"step": [1], "Loss": [1.0], "val_loss": [2.0], "lr": [0.1]})
    curves = CurveSet.from_frame(table)
    assert curves.metric() == "Loss"
    assert curves.metric("val_loss") == "val_loss"
    with pytest.raises(InputError, match="no column 'tain'; found: Loss, val_loss, lr"):
        curves.metric("tain")
    with pytest.raises(InputError, match="no loss column; choose one with --metric; found: lr"):
        CurveSet.from_frame(table.select("step", "lr")).metric()
    two = table.rename({"Loss": "loss_a", "val_loss": "loss_b"})
    with pytest.raises(InputError, match="several loss columns"):
        CurveSet.from_frame(two).metric()


def test_of_an_accuracy_more_is_better():
    curves = CurveSet.from_frame(pl.DataFrame({"step": [1, 2], "val_accuracy": [0.1, 0.9]}))
    assert curves.prefixes(metric="val_accuracy")[0].loss[0].tolist() == [-0.1, -0.9]


def test_write_and_read_back(tmp_path):
    runs = pl.DataFrame({"run": ["a", "b"], "final": [1.0, 2.0]})
    curves = CurveSet.from_frame(pl.DataFrame(ROWS), runs)
    curves.write(tmp_path / "set")
    again = CurveSet.from_frame(
        pl.read_parquet(tmp_path / "set/curves.parquet"),
        pl.read_parquet(tmp_path / "set/runs.parquet"),
    )
    assert again.observations.equals(curves.observations)
    assert again.runs.equals(curves.runs)
    assert {p.name for p in (tmp_path / "set").iterdir()} == {"curves.parquet", "runs.parquet"}


def test_runs_of_the_same_name_in_two_sets_are_told_apart():
    one = CurveSet.from_losses({"a": [2.0, 1.0]})
    sets = [CurveSet(one.observations, one.runs, name) for name in ("x", "y")]
    assert CurveSet.concat(sets).runs["run"].to_list() == ["x/a", "y/a"]


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=5), max_size=6))
def test_ragged_rows_reduce_as_their_lists_do(rows):
    ragged = Ragged.of(rows)
    assert [r.tolist() for r in ragged] == rows
    smallest, last = ragged.reduce(np.minimum), ragged.last()
    for i, row in enumerate(rows):
        assert smallest[i] == min(row) if row else np.isnan(smallest[i])
        assert last[i] == row[-1] if row else np.isnan(last[i])


def test_ten_thousand_runs_of_a_thousand_steps_load_in_under_two_gigabytes(tmp_path):
    """In a process of its own, so that the peak is its own."""
    code = """
import sys, polars as pl, numpy as np, resource
from earlycall import read
print(len(read(sys.argv[1])), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    m, n = 10_000, 1_000
    pl.DataFrame(
        {
            "run": pl.Series([f"run{i}" for i in range(m)]).gather(np.repeat(np.arange(m), n)),
            "step": np.tile(np.arange(n, dtype=np.int32), m),
            "train_loss": np.random.default_rng(0).random(m * n, dtype=np.float32),
        }
    ).write_parquet(tmp_path / "curves.parquet")
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    runs, kilobytes = map(int, done.stdout.split())
    assert runs == m
    assert kilobytes < 2e6 * (1 if sys.platform == "linux" else 1024), resource.RUSAGE_SELF
