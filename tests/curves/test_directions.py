"""The direction of a metric reaches every room, and nothing is shown negated."""

import json

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from conftest import earlycall
from earlycall.errors import CurveWarning, InputError

STEPS = np.arange(1, 41)
GOOD, BAD = 0.9 - 0.8 / STEPS, 0.6 - 0.5 / STEPS


def two(metric: str, good=GOOD, bad=BAD) -> pl.DataFrame:
    return pl.DataFrame({
        "run": ["good"] * len(STEPS) + ["bad"] * len(STEPS),
        "step": [*STEPS, *STEPS], metric: [*good, *bad],
    })  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Two logs of a metric whose direction nobody can know."""
    for name, values in (("good", GOOD), ("bad", np.roll(BAD, 7))):  # some gain in both directions
        table = pl.DataFrame({"step": STEPS, "zeta": values, "joules": STEPS * 10.0})
        table.write_csv(tmp_path / f"{name}.csv")
    return tmp_path


@pytest.mark.parametrize("score", ["last_loss", "min_loss", "tse", "lcga_d1", "outlook"])
def test_a_direction_turns_the_ranking(score):
    up = ec.rank(two("zeta"), metric="zeta", direction="max", score=score).table
    down = ec.rank(two("zeta", -GOOD, -BAD), metric="zeta", direction="min", score=score).table
    columns = ("run", "rank", "score", "status")
    assert up.select(columns).rows() == down.select(columns).rows()
    if score != "lcga_d1":  # the slope: the one that rises more is the better
        assert up["run"][0] == "good"


def test_raw_values_are_those_of_the_metric():
    for score, value in (("last_loss", GOOD[-1]), ("min_loss", GOOD.max()), ("tse", GOOD.sum())):
        ranking = ec.rank(two("val_acc"), metric="val_acc", score=score)
        assert ranking.table["raw"][0] == pytest.approx(value)
    assert ec.rank(two("val_acc"), metric="val_acc", score="lcga_d1").table["raw"].min() > 0


@pytest.mark.parametrize(
    "command",
    [
        ["rank"], ["fit"], ["elasticity"], ["replay"], ["report", "-o", "{out}.html"],
        ["energy", "--zone", "UTC"],
    ],
)  # fmt: skip
def test_every_command_asks_and_takes_the_answer(folder, tmp_path_factory, command):
    out = str(tmp_path_factory.mktemp("out") / "report")
    words = [word.replace("{out}", out) for word in command]
    arguments = [words[0], folder, *words[1:], "--metric", "zeta"]
    asked = earlycall(*arguments)
    assert asked.code == 2
    assert "--maximize" in asked.err
    assert "'zeta'" in asked.err
    for answer in ("--maximize", "--minimize"):
        assert earlycall(*arguments, answer).code == 0


def test_evaluate_asks_of_the_metric_and_of_the_outcome(tmp_path):
    runs = [f"r{i}" for i in range(5)]
    rows = [{"run": r, "step": s, "zeta": i + s / 40} for i, r in enumerate(runs) for s in STEPS]
    finals = pl.DataFrame({"run": runs, "final": [0.1, 0.2, 0.3, 0.4, 0.5]})
    curves = pl.DataFrame(rows)
    made = ec.CurveSet.from_frame(curves, finals.with_columns(final_metric=pl.lit("eta")))
    with pytest.raises(InputError, match=r"'eta' is better is not known.*higher_is_better"):
        ec.evaluate(made, metric="zeta", direction="max", scores=["last_loss"], budgets=[0.5])
    known = ec.CurveSet.from_frame(curves, finals.with_columns(higher_is_better=pl.lit(1.0)))
    with pytest.raises(InputError, match="--maximize"):
        ec.evaluate(known, metric="zeta", scores=["last_loss"], budgets=[0.5])
    for direction, rho in (("max", 1.0), ("min", -1.0)):
        found = ec.evaluate(
            known, metric="zeta", direction=direction, scores=["last_loss"], budgets=[0.5]
        )
        assert found.table["spearman"].to_list() == [pytest.approx(rho)]
    nameless = ec.CurveSet.from_frame(curves, finals)
    with pytest.warns(CurveWarning, match="taken as a loss"):
        ec.evaluate(nameless, metric="zeta", direction="max", scores=["tse"], budgets=[0.5])


def test_the_same_data_get_the_same_advice_from_a_frame_and_a_file(tmp_path):
    up = np.concatenate([1 / STEPS[:20], 1 / 20 + 0.01 * STEPS[:20]])
    table = pl.DataFrame({"step": STEPS, "loss": 1 / STEPS, "dev_loss": up})
    table.write_csv(tmp_path / "a.csv")
    columns = ("advice", "shape", "regime", "gain_elasticity")
    of_file = ec.elasticity(tmp_path / "a.csv").table.select(columns).rows()
    of_frame = ec.elasticity(table.with_columns(run=pl.lit("a"))).table.select(columns).rows()
    assert of_file == of_frame
    assert of_file[0][1] == "overfitting"


def test_several_validation_losses_are_asked_about():
    table = two("val/box_loss").with_columns(pl.lit(1.0).alias("val/cls_loss"))
    for function in (ec.elasticity, lambda t: ec.replay(t, ["gain:0.1"])):
        with pytest.raises(InputError, match="val/box_loss, val/cls_loss"):
            function(table)


def test_accuracies_are_printed_as_they_are_and_rise(tmp_path):
    for name, values in (("good", GOOD), ("bad", BAD)):
        pl.DataFrame({"step": STEPS, "val_acc": values}).write_csv(tmp_path / f"{name}.csv")
    ran = earlycall("elasticity", tmp_path, "--metric", "val_acc", "--format", "json")
    rows = json.loads(ran.out)["runs"]
    assert [row["loss"] for row in rows] == pytest.approx([BAD[-1], GOOD[-1]])
    assert all(row["gain"] > 0 for row in rows)
    table = earlycall("rank", tmp_path, "--metric", "val_acc", "--score", "last_loss").out
    line = next(li for li in table.splitlines() if "good" in li and "▁" in li)
    bars = [c for c in line if c in "▁▂▃▄▅▆▇█"]
    assert bars == sorted(bars)
    assert bars[0] < bars[-1]
    assert "-0." not in table


def test_pictures_of_accuracies_rise():
    from earlycall import plots

    figure = plots.curves(two("zeta"), metric="zeta", ranking=ec.rank(
        two("zeta"), metric="zeta", direction="max"))  # fmt: skip
    drawn = [t for t in figure.data if t.y is not None and len(t.y) == len(STEPS)]
    assert len(drawn) == 2
    assert all(t.y[-1] > t.y[0] > 0 for t in drawn)
    along = plots.elasticity_along(STEPS, GOOD, direction="max")
    curve, elasticity = along.data[0], along.data[-1]
    assert curve.y[-1] > curve.y[0] > 0
    assert elasticity.name == "elasticity"
    assert all(value > 0 for value in elasticity.y[:10])


def test_callbacks_ask_for_the_mode():
    from earlycall.integrations.keras import EarlyCall

    with pytest.raises(InputError, match="mode='min' or mode='max'"):
        EarlyCall(metric="zeta")
    assert EarlyCall(metric="val_dice").watched.mode == "max"


def test_an_accuracy_is_not_converted_into_a_training_loss(tmp_path):
    pl.DataFrame({"step": STEPS, "val_acc": GOOD}).write_csv(tmp_path / "a.csv")
    ran = earlycall("convert", tmp_path, "-o", tmp_path / "set", "--metric", "val_acc")
    assert ran.code == 2
    assert "more of 'val_acc' is better" in ran.err
