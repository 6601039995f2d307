"""Joules and money in the commands, as a person runs them."""

import json

import polars as pl
import pytest
from test_join import power_log, tensorboard

import earlycall as ec
from conftest import earlycall
from earlycall import CurveSet, InputError


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs one after the other beside one power log, the later the better."""
    folder = tmp_path_factory.mktemp("energy") / "runs"
    start = 1_772_366_400.0
    for i, name in enumerate("abc"):
        tensorboard(folder / name, start=start + 100 * i, steps=81, rate=0.2 + 0.2 * i)
    power_log(folder / "gpu.csv", lambda t: 3600, start=start, seconds=300)
    return folder


def document(*arguments):
    ran = earlycall(*arguments, "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out), ran.err


def test_energy_as_a_table_and_as_json(runs):
    options = ["--zone", "UTC", "--price", "0.5"]
    told, err = document("energy", runs, *options, "--carbon", "400", "--horizon", "80")
    assert err == ""
    run = told["runs"][0]
    assert run["kwh"] == pytest.approx(0.08)
    assert run["joules"] == pytest.approx(288_000)
    assert run["usd"] == pytest.approx(0.04)
    assert run["gco2e"] == pytest.approx(32)
    assert run["mean_watts"] == pytest.approx(3600)
    by_way = {row["way"]: row for row in told["savings"]}
    choose = by_way["choose"]
    assert choose["used_kwh"] == pytest.approx(0.24)
    assert choose["would_kwh"] == pytest.approx(0.08 + 2 * 0.008)  # two stop at 10 %
    assert choose["saved_usd"] == pytest.approx(0.5 * choose["saved_kwh"])
    assert choose["saved_gco2e"] == pytest.approx(400 * choose["saved_kwh"])
    assert choose["winner_kept"] is True
    assert choose["regret_pct"] == 0
    assert 0 < by_way["stop"]["saved_pct"] < 100
    shown = earlycall("energy", runs, *options, "--horizon", "80")
    assert "3 runs used 0.24 kWh (0.12 usd)" in " ".join(shown.out.split())
    assert "the best run is kept" in " ".join(shown.out.split())
    table = earlycall("energy", runs, "--zone", "UTC", "--format", "csv").out
    assert table.startswith("group,run,seconds,joules,kwh,usd,gco2e,mean_watts,source")


@pytest.mark.parametrize("cost", ["joules", "usd"])
def test_rank_elasticity_and_replay_take_joules_and_money(runs, cost):
    options = ["--cost", cost, "--price", "0.5", "--zone", "UTC"]
    ranked, _ = document("rank", runs, "--budget", "10%", *options)
    assert (ranked["cost"], ranked["runs"][0]["run"]) == (cost, "c")
    told, _ = document("elasticity", runs, *options)
    assert {row["cost"] for row in told["runs"]} == {cost}
    replayed, _ = document("replay", runs, "--rules", "gain:0.1", *options)
    assert 0 < replayed["rows"][0]["cost_pct"] < 100
    by_step, _ = document("replay", runs, "--rules", "gain:0.1")
    # At constant power joules tell what steps tell.
    assert replayed["rows"][0]["cost_pct"] == pytest.approx(by_step["rows"][0]["cost_pct"])


def test_curves_are_fitted_along_joules(runs):
    along, _ = document("rank", runs, "--axis", "joules", "--score", "lcga_d1", "--zone", "UTC")
    assert [row["run"] for row in along["runs"]]


def test_convert_keeps_the_joules(runs, tmp_path):
    ran = earlycall("convert", runs, "-o", tmp_path / "set", "--zone", "UTC", "--price", "0.5")
    assert ran.code == 0, ran.err
    table = pl.read_parquet(tmp_path / "set" / "curves.parquet")
    assert table["joules"].max() == pytest.approx(288_000)
    assert table["usd"].max() == pytest.approx(0.04)
    told, _ = document("energy", tmp_path / "set")
    assert told["runs"][0]["source"] == "recorded"
    ranked, _ = document("rank", tmp_path / "set", "--budget", "10%", "--cost", "usd")
    assert ranked["runs"][0]["run"] == "c"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["energy", "{runs}/a"], "no energy is known: no power log was found beside it"),
        (["elasticity", "{runs}", "--cost", "usd", "--zone", "UTC"], "give --price"),
        (["energy", "{runs}", "--power", "{runs}/gone"], "gone: no such file or folder"),
        (["energy", "{runs}", "--zone", "Mars"], "time zone 'Mars' is unknown"),
        (["energy", "{runs}", "--price", "-1"], "price of a kWh of -1 cannot be used"),
        (["energy", "{runs}", "--zone", "UTC", "--rule", "x"], "unknown rule 'x'"),
        (["rank", "{runs}/gpu.csv"], "a log of power, not of a run; give it with --power"),
        (["rank", "{runs}", "--budget", "10%", "--cost", "epoch"], "cost 'epoch' is unknown"),
    ],
)
def test_bad_input_is_one_sentence(runs, arguments, said):
    ran = earlycall(*(word.format(runs=runs) for word in arguments))
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_budgets_of_joules_give_each_run_the_same_energy():
    steps = list(range(1, 101))
    table = pl.DataFrame({
        "run": ["thrifty"] * 100 + ["greedy"] * 100, "step": steps * 2,
        "loss": [1 / s for s in steps] * 2, "joules": [1.0 * s for s in steps] * 1
        + [3.0 * s for s in steps],
    })  # fmt: skip
    curves = CurveSet.from_frame(table)
    seen = curves.prefix(budget=0.3, cost="joules").prefixes()[0]
    # 30 % of the median of 100 and 300 J is 60 J.
    assert dict(zip(seen.runs, seen.loss.lengths.tolist(), strict=True)) == {
        "greedy": 20, "thrifty": 60,
    }  # fmt: skip
    with pytest.raises(InputError, match="has no column 'usd' to take a part of"):
        curves.prefix(budget=0.3, cost="usd")
    assert ec.rank(curves, budget=0.3, cost="joules").best() == "thrifty"


def test_a_group_of_one_run_is_only_stopped():
    steps = list(range(1, 101))
    table = pl.DataFrame({
        "run": ["a"] * 100, "step": steps, "loss": [1 / s for s in steps],
        "joules": [1.0 * s for s in steps],
    })  # fmt: skip
    used = ec.energy(CurveSet.from_frame(table))
    assert used.savings["way"].to_list() == ["stop"]
    assert used.table["reason"].to_list() == [None]


def test_a_set_without_joules_says_so():
    with pytest.raises(InputError, match="no energy is known: it logged no joules"):
        ec.energy(CurveSet.from_losses({"a": [1.0, 0.5]}))


def test_runs_that_still_train_are_forecast_where_their_end_is_known(tmp_path):
    steps = {"done": 100, "young": 20, "begun": 2}
    for name, last in steps.items():
        rows = [f"{k},{2 / k + 0.1},{60 * k},{720 * k}" for k in range(1, last + 1)]
        (tmp_path / f"{name}.csv").write_text(
            "step,train_loss,seconds,joules\n" + "\n".join(rows) + "\n"
        )
    told, _ = document("energy", tmp_path, "--price", "0.5", "--horizon", "100")
    [young] = told["forecasts"]  # of two steps, nothing is told
    assert (young["run"], young["done"]) == ("young.csv", 0.2)
    assert young["joules"] == pytest.approx(72_000)
    assert young["seconds"] == pytest.approx(6_000)
    assert young["usd"] == pytest.approx(0.01)
    assert 0.9 * 72_000 < young["joules_low"] < 72_000 < young["joules_high"] < 1.1 * 72_000
    shown = " ".join(earlycall("energy", tmp_path, "--horizon", "100").out.split())
    assert "1 run not at the end yet would use 1 h 40 min (" in shown
    assert "and 20 Wh until there (" in shown
    assert "and all runs 40.4 Wh." in shown
    told, _ = document("energy", tmp_path)  # whose end nobody knows
    assert told["forecasts"] == []
    assert "not at the end yet" not in told["summary"]
