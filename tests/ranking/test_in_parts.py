"""A curve set ranked group by group: the numbers, the order and the notes of one read whole."""

import shutil
import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from earlycall import read
from earlycall.errors import InputError
from earlycall.ranking.in_parts import ranked_parts
from earlycall.ranking.rank import rank
from earlycall.readers import scan
from earlycall.readers.scan import UnsuitableError, scanned

OPTIONS = {
    "score": "outlook", "metric": None, "direction": None, "budget": None, "steps": None,
    "epochs": None, "horizon": None, "axis": "observation", "cost": "step", "top": 3,
    "outcome": None, "burn_in": None,
}  # fmt: skip


def rows_of(seed, run, n, *, every=1, metrics=("train_loss",)):
    rng = np.random.default_rng(seed)
    step = np.arange(1, n + 1) * every
    columns = {"run": [run] * n, "step": step}
    for i, metric in enumerate(metrics):
        columns[metric] = 1 + i + rng.uniform(1, 3) / (step + rng.uniform(0, 9)) + rng.normal(
            0, 0.02, n
        )  # fmt: skip
    return pl.DataFrame(columns)


def group_of(seed, runs=8, n=60, **options):
    return pl.concat(rows_of(seed + i, f"run {i}", n, **options) for i in range(runs))


def partitioned(folder, groups, runs=None):
    """A curve set of files partitioned by group."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in groups.items():
        part = folder / "curves.parquet" / f"group={name}"
        part.mkdir(parents=True)
        table.write_parquet(part / "0.parquet", row_group_size=100)
    if runs is not None:
        runs.write_parquet(folder / "runs.parquet")
    return folder


def both(folder, **options):
    """The ranking in parts, None where the set is read whole, and the whole one; with notes."""
    options = OPTIONS | options
    found = []
    for how in ("parts", "whole"):
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            if how == "parts":
                try:
                    parts = ranked_parts(scanned(folder, large=0), **options)
                    ranking = None if parts is None else parts.whole()
                except UnsuitableError:
                    ranking = None
            else:
                ranking = rank(read(folder), **options)
        found.append((ranking, sorted(str(w.message) for w in noted)))
    return found


def assert_same(folder, **options):
    (parts, noted), (whole, noted_whole) = both(folder, **options)
    assert parts is not None
    assert_frame_equal(parts.table, whole.table, check_exact=True)
    assert parts.to_dict() == whole.to_dict()
    assert parts.notes == whole.notes
    if "group" not in options:  # of which alone something is noted, then
        assert noted == noted_whole
    return parts


def shuffled(table):
    return table.sample(fraction=1, shuffle=True, seed=1)


def by_step(table):
    """As a log in which all runs write a step before the next one."""
    return table.sort("step", maintain_order=True)


def diverging(table):
    value = pl.when((pl.col("run") == "run 1") & (pl.col("step") > 4)).then(float("nan"))
    late = pl.when((pl.col("run") == "run 2") & (pl.col("step") > 50)).then(float("inf"))
    return table.with_columns(train_loss=pl.coalesce(value, late, "train_loss"))


def short(table):
    few = {"run 0": 1, "run 1": 2, "run 2": 3}
    number = pl.int_range(pl.len()).over("run")
    return table.filter(number < pl.col("run").replace_strict(few, default=1000))


def resumed(table):
    """A run that wrote some of its steps again, and one whose log begins late."""
    again = table.filter((pl.col("run") == "run 3") & pl.col("step").is_between(20, 30))
    late = (pl.col("run") != "run 4") | (pl.col("step") > 40)
    return pl.concat([table, again.with_columns(pl.col("train_loss") + 1)]).filter(late)


def copied(table):
    twin = table.filter(pl.col("run") == "run 0").with_columns(run=pl.lit("run twin"))
    return pl.concat([table, twin])


def of_lengths(table):
    longest = pl.col("run").str.slice(-1).cast(pl.Int64) * 5 + 20
    return table.filter(pl.col("step") <= longest)


def with_epochs(table):
    return table.with_columns(epoch=pl.col("step") // 10)


def with_validation(table):
    now = pl.col("step") % 5 == 0
    return table.with_columns(
        val_loss=pl.when(now).then(pl.col("train_loss") + 0.1), lr=0.1 / pl.col("step")
    )


def sparse(table):
    return table.with_columns(
        train_loss=pl.when(pl.col("step") % 3 == 0).then("train_loss"), other=pl.col("step") * 2.0
    )


ODD = [shuffled, by_step, diverging, short, resumed, copied, of_lengths, with_epochs,
       with_validation, sparse]  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("limit", [{"budget": 0.1}, {"steps": 12}, {}])
def test_what_is_odd_in_one_group_ranks_as_in_a_set_that_is_read_whole(odd, limit, tmp_path):
    groups = {"a": group_of(0), "b": odd(group_of(100)), "c": group_of(200, runs=3, n=200)}
    if odd in (with_epochs, with_validation, sparse):  # files of one set have the same columns
        groups = {name: odd(table) for name, table in groups.items()}
    assert_same(partitioned(tmp_path / "set", groups), **limit)


@given(
    seed=st.integers(0, 1000),
    odds=st.lists(st.sampled_from(ODD[:7]), max_size=3, unique=True),
    n=st.integers(3, 60),
    part_values=st.sampled_from([50, 1000, 10**6]),
    chunk=st.sampled_from([7, 64, 10**6]),
)
@settings(max_examples=25)
def test_any_mixture_ranks_as_in_a_set_that_is_read_whole(
    tmp_path_factory, seed, odds, n, part_values, chunk
):
    folder = tmp_path_factory.mktemp("mixture") / "set"
    groups = {str(i): group_of(seed + 50 * i, runs=4 + i, n=n + 10 * i) for i in range(4)}
    for i, odd in enumerate(odds):
        groups[str(i)] = odd(groups[str(i)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PART_VALUES", part_values)
        patch.setattr(scan, "CHUNK_ROWS", chunk)
        assert_same(partitioned(folder, groups), budget=0.2)


@pytest.mark.parametrize(
    "columns",
    [
        {"step_hint": 100},
        {"step_hint": 50},  # which the runs have passed
        {"hp.epochs": 8, "hp.lr": 0.1},
        {"hp.max_steps": 90},
        {"ended": 1.0},
        {"final": 1.0, "final_metric": "accuracy"},
    ],
)
def test_what_the_table_of_runs_says_counts_as_in_a_set_that_is_read_whole(columns, tmp_path):
    groups = {name: with_epochs(group_of(i)) for i, name in enumerate("ab")}
    keys = [{"group": name, "run": f"run {i}"} for name in groups for i in range(8)]
    runs = pl.DataFrame(keys).with_columns(pl.lit(v).alias(k) for k, v in columns.items())
    folder = partitioned(tmp_path / "set", groups, runs)
    assert_same(folder, budget=0.1)
    assert_same(partitioned(folder, groups, runs.drop("group").unique("run")), budget=0.1)


def test_running_runs_learn_from_finished_ones_of_their_group_alone(tmp_path):
    groups = {name: group_of(i, runs=12) for i, name in enumerate("abc")}
    groups["b"] = groups["b"].filter((pl.col("run") < "run 5") | (pl.col("step") < 20))
    runs = pl.DataFrame([
        {"group": group, "run": f"run {i}", "hp.lr": 0.1 * i, "higher_is_better": False,
         "final": None if group == "b" and i >= 5 else 1.0 + i}
        for group in groups for i in range(12)
    ])  # fmt: skip
    parts = assert_same(partitioned(tmp_path / "set", groups, runs), budget=0.2)
    assert parts.learned_from["b"] > 0
    unsaid = partitioned(tmp_path / "set", groups, runs.drop("higher_is_better"))
    assert both(unsaid, budget=0.2)[0][0] is None  # what is noted of the set is noted once


@pytest.mark.parametrize(
    "options",
    [
        {"score": "lcga_d1", "epochs": 5}, {"score": "tse", "budget": 0.3}, {"axis": "epoch"},
        {"cost": "seconds", "budget": 0.2}, {"metric": "val_loss", "budget": 0.2},
        {"horizon": 500.0, "budget": 0.1}, {"group": "b", "budget": 0.1},
    ],
)  # fmt: skip
def test_options_mean_the_same(options, tmp_path):
    groups = {
        name: with_validation(with_epochs(group_of(i))).with_columns(seconds=pl.col("step") * 2.0)
        for i, name in enumerate("abc")
    }
    assert_same(partitioned(tmp_path / "set", groups), **options)


@pytest.mark.parametrize(
    ("spoilt", "options"),
    [
        (lambda t: t.with_columns(step=pl.when(pl.col("step") != 7).then("step")), {}),
        (lambda t: with_epochs(shuffled(t)), {}),
        (lambda t: shuffled(with_validation(t)), {}),
        (lambda t: t.with_columns(note=pl.lit("x")), {}),
        (lambda t: t.filter(pl.col("run") == "run 0"), {}),
        (lambda t: t.rename({"step": "iteration"}), {}),
        (lambda t: t, {"outcome": "train_loss"}),
    ],
)
def test_what_only_all_rows_together_tell_is_read_whole(spoilt, options, tmp_path):
    groups = {name: spoilt(group_of(i)) for i, name in enumerate("ab")}
    folder = partitioned(tmp_path / "set", groups)
    try:
        parts = ranked_parts(scanned(folder, large=0), **(OPTIONS | options))
    except UnsuitableError:
        parts = None
    assert parts is None


def test_a_set_in_one_file_is_ranked_in_parts_too(tmp_path):
    groups = [group_of(i).with_columns(group=pl.lit(g)) for i, g in enumerate("ab")]
    (tmp_path / "set").mkdir()
    pl.concat(groups).write_parquet(tmp_path / "set/curves.parquet", row_group_size=77)
    assert_same(tmp_path / "set", budget=0.1)
    groups[0].drop("group").write_parquet(tmp_path / "set/curves.parquet", row_group_size=77)
    assert_same(tmp_path / "set", budget=0.1)


def test_only_the_first_part_of_each_curve_is_read(tmp_path):
    folder = partitioned(tmp_path / "set", {n: group_of(i, n=1000) for i, n in enumerate("ab")})
    parts = ranked_parts(scanned(folder, large=0), **(OPTIONS | {"budget": 0.1}))
    read_rows = sum(curves.observations.height for _, curves in parts)
    assert read_rows == 16 * 101  # and where each run ends


def test_a_set_that_is_written_again_meanwhile_is_said(tmp_path):
    groups = {n: group_of(i) for i, n in enumerate("ab")}
    folder = partitioned(tmp_path / "set", groups)
    parts = ranked_parts(scanned(folder, large=0), **OPTIONS)
    partitioned(folder, groups | {"b": group_of(7, n=61)})
    with pytest.raises(InputError, match="written again while it was read"):
        parts.whole()


def test_an_unknown_group_and_a_link_out_of_the_set_are_told(tmp_path):
    folder = partitioned(tmp_path / "set", {n: group_of(i) for i, n in enumerate("ab")})
    with pytest.raises(InputError, match="no group 'z'; found: a, b"):
        ranked_parts(scanned(folder, large=0), **OPTIONS, group="z")
    outside = tmp_path / "outside.parquet"
    group_of(3).write_parquet(outside)
    (folder / "curves.parquet/group=b/1.parquet").symlink_to(outside)
    with pytest.raises(InputError, match="a link out of the folder"):
        read(folder)
