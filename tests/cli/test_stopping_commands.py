"""``earlycall elasticity`` and ``earlycall replay``, run as a person runs them."""

import csv
import io

import pytest

from conftest import earlycall


def test_elasticity_json_is_the_contract(digits):
    ran = earlycall("elasticity", digits, "--format", "json")
    assert ran.code == 0
    row = ran.json["runs"][0]
    assert list(row)[:9] == [
        "group", "run", "cost", "loss_elasticity", "gain_elasticity", "low", "high", "regime",
        "advice",
    ]  # fmt: skip
    assert len(ran.json["runs"]) == 16
    assert {r["regime"] for r in ran.json["runs"]} <= {
        "elastic",
        "unit",
        "inelastic",
        "rising",
        None,
    }


def test_elasticity_table_and_csv(digits):
    shown = earlycall("elasticity", digits, "--cost", "seconds", "--top", "3")
    assert "elasticity of val_loss over seconds" in shown.out
    assert "… and 13 more; --top 0 shows all" in shown.out
    ran = earlycall("elasticity", digits / "linear_lr0.1.csv", "--format", "csv")
    assert next(csv.DictReader(io.StringIO(ran.out)))["regime"] == "inelastic"


def test_replay_json_is_the_contract(digits):
    ran = earlycall("replay", digits, "--rules", "gain:0.1, patience:3:0.001", "--format", "json")
    assert ran.code == 0
    first, second = ran.json["rows"]
    assert list(first)[:7] == [
        "set", "group", "rule", "n", "cost_pct", "regret_pct", "winner_kept",
    ]  # fmt: skip
    assert (first["set"], first["group"], first["rule"]) == ("digits", "all", "gain:0.1")
    assert (first["n"], first["n_no_gain"], first["metric"]) == (14, 2, "val_loss")
    assert second["rule"] == "patience:3:0.001"


def test_replay_table_and_choice(digits):
    ran = earlycall("replay", digits, "--choose", "2", "--by-group")
    assert "digits: 14 runs by val_loss over step; 2 that hardly fell are left out" in ran.out
    assert "digits, all: 14 runs" in ran.out
    assert "% regret: the cheapest gain rule below 2 % on these runs" in ran.out
    ran = earlycall("replay", digits, "--choose", "2", "--format", "json")
    assert ran.json["choice"]["regret_pct"] < 2
    assert ran.json["choice"]["rule"].startswith("gain:")


def test_replay_takes_the_metric_and_the_averaging(digits):
    rows = [
        earlycall("replay", digits, "--rules", "gain:0.1", "--metric", "train_loss", *every,
                  "--format", "json").json["rows"][0]
        for every in ((), ("--every", "1"), ("--every", "10"))
    ]  # fmt: skip
    assert [row["every"] for row in rows] == ["auto", "1", "10"]
    assert rows[1]["regret_pct"] > rows[2]["regret_pct"]


def test_replay_of_halving_has_the_form_of_replay(digits):
    ran = earlycall("replay", digits, "--halving", "--format", "json")
    assert ran.code == 0
    assert [row["rule"] for row in ran.json["rows"]] == ["halving:outlook", "halving:last_loss"]
    assert all(0 < row["cost_pct"] < 80 for row in ran.json["rows"])
    shown = earlycall("replay", digits, "--halving").out
    assert "digits: 14 runs by val_loss over step; 2 that hardly fell are left out" in shown
    assert "halving:last_loss" in shown


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["replay", "{}", "--halving", "--choose", "2"], "--halving replays no stop rules"),
        (["replay", "{}", "--rules", "gian:0.1"], "unknown rule 'gian:0.1'; did you mean 'gain'?"),
        (["replay", "{}", "--rules", ","], "no rule was given"),
        (["replay", "{}", "--metric", "val"], "has no column 'val'; found:"),
        (
            ["replay", "{}", "--cost", "joules"],
            "no power log was found beside it; name one by --power",
        ),
        (["replay", "{}", "--cost", "euros"], "'euros' is not one of"),
        (["replay", "{}", "--every", "0"], "--every '0' must be auto or a whole number"),
        (["replay", "{}", "--choose", "0"], "a regret of 0 % cannot be chosen by"),
        (["replay", "/nowhere"], "no such file or folder"),
        (["elasticity", "{}", "--cost", "usd"], "no energy is known: no power log was found"),
        (["elasticity", "{}", "--threshold", "-1"], "must be an elasticity above 0"),
        (["elasticity", "{}", "--group", "x"], "has no group 'x'"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, sentence, digits):
    ran = earlycall(*(str(digits) if a == "{}" else a for a in arguments))
    assert ran.code == 2
    assert ran.out == ""
    assert sentence in ran.err
    assert ran.err.count("\n") == 1
