"""Where training ends: as given, as settings say, as long as finished runs were; else unknown."""

import json

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from conftest import earlycall
from earlycall.curves import CurveSet
from earlycall.curves.horizon import UNKNOWN_END
from earlycall.report.verdict import verdicts


def curves(lengths, runs=None, **columns):
    """Runs of so many steps, named r0, r1 …, with further columns as functions of the step."""
    rows = [
        {
            "run": f"r{i}",
            "step": s,
            "loss": 1 + (i + 1) / s,
            **{k: f(s) for k, f in columns.items()},
        }
        for i, n in enumerate(lengths)
        for s in range(1, n + 1)
    ]
    names = {"run": [f"r{i}" for i in range(len(lengths))]}
    return CurveSet.from_frame(
        pl.DataFrame(rows), None if runs is None else pl.DataFrame(names | runs)
    )


def end(*arguments, **columns):
    found = curves(*arguments, **columns).end("all")
    return found.step, found.source


@pytest.mark.parametrize("name", [
    "max_steps", "max-steps", "maxSteps", "trainer.max_steps", "training_args.max_steps",
    "total_steps", "num_steps", "max_iters", "total_timesteps", "n_timesteps",
    "num_training_steps", "train_iters", "solver.max_iter", "num_iterations",
])  # fmt: skip
def test_settings_tell_the_end_by_whole_words(name):
    assert end([10, 20], {f"hp.{name}": [200, 200]}) == (200, "settings")
    as_text = {f"hp.{name}": ["200", "200"]}
    assert end([10, 20], as_text) == (200, "settings")


@pytest.mark.parametrize("name", [
    "env.max_steps", "max_episode_steps", "warmup_steps", "eval_iters", "lr_decay_iters",
    "update_epochs", "warmup_epochs", "gradient_accumulation_steps", "n_steps", "save_steps",
])  # fmt: skip
def test_settings_of_something_else_do_not(name):
    found = curves([10, 20], {f"hp.{name}": [200, 200]}, epoch=lambda s: (s - 1) // 5)
    assert found.end("all").source is None


@pytest.mark.parametrize("unset", [-1, 0, None, float("nan"), float("inf")])
def test_a_setting_that_is_unset_says_nothing(unset):
    unset = {"hp.max_steps": pl.Series([unset, unset], dtype=pl.Float64)}
    assert end([10, 20], unset) == (20, None)
    assert end([10, 20], unset | {"hp.max_iters": [50, 50]}) == (50, "settings")
    assert end([10, 20], {"hp.max_steps": ["None", "null"]}) == (20, None)


@pytest.mark.parametrize("name", ["num_train_epochs", "max_epochs", "epochs", "n_epochs"])
@pytest.mark.parametrize("first", [0, 1])
def test_epochs_count_with_the_steps_that_the_log_gives_them(name, first):
    found = end([25, 33], {f"hp.{name}": [8, 8]}, epoch=lambda s: first + (s - 1) // 10)
    assert found == (80, "settings")


@pytest.mark.parametrize("every", [1, 3, 50, 100])
@pytest.mark.parametrize("origin", [0, 1])
def test_a_run_of_all_its_epochs_has_reached_the_end(every, origin):
    """Whatever the logging rate, and whether steps are counted from 0: 5 epochs of 100 steps."""
    steps = [s for s in range(500) if (s + 1) % every == 0]
    rows = {
        "run": ["a"] * len(steps),
        "step": [s + origin for s in steps],
        "epoch": [s // 100 for s in steps],
        "loss": [1 + 1 / (s + 1) for s in steps],
    }
    runs = pl.DataFrame({"run": ["a"], "hp.max_epochs": [5]})
    whole = CurveSet.from_frame(pl.DataFrame(rows), runs)
    assert whole.end("all").source == "settings"
    assert whole.prefixes()[0].steps_left.tolist() == [0]
    half = pl.DataFrame(rows).filter(pl.col("step") < 250 + origin)
    ahead = CurveSet.from_frame(half, runs).end("all").step
    assert ahead == pytest.approx(499 + origin, abs=2 * every)


def test_where_a_step_is_an_epoch_epochs_are_steps_and_steps_are_not():
    epochs = pl.DataFrame({"run": ["a"] * 4, "epoch": range(4), "loss": [4.0, 3.0, 2.0, 1.0]})
    settings = pl.DataFrame({"run": ["a"], "hp.epochs": [10], "hp.max_steps": [60_000]})
    known = CurveSet.from_frame(epochs, settings).end("all")
    assert (known.step, known.source) == (9, "settings")  # the tenth of epochs that count from 0
    found = CurveSet.from_frame(epochs, settings.drop("hp.epochs")).end("all")
    assert (found.source, found.note) == (None, "hp.max_steps counts steps, and the log epochs")


def test_epochs_of_unknown_length_say_so():
    found = curves([10], {"hp.epochs": [10]}).end("all")
    assert found.source is None
    assert found.note == "hp.epochs counts epochs, and the log does not tell their steps"


def test_where_rows_or_calls_were_counted_steps_are_unknown(tmp_path):
    rows = "".join(json.dumps({"loss": 1 + 1 / s}) + "\n" for s in range(1, 20))
    (tmp_path / "a.jsonl").write_text(rows)
    (tmp_path / "runs.csv").write_text("run,hp.max_steps\na.jsonl,5000\n")
    with pytest.warns(ec.CurveWarning, match="observations are counted"):
        found = ec.read(tmp_path).end("all")
    assert (found.step, found.source) == (19, None)
    assert found.note == "hp.max_steps counts steps, and the log's own are not known"
    calls = {"run": ["a"] * 9, "_step": range(9), "loss": [1 / s for s in range(1, 10)]}
    settings = pl.DataFrame({"run": ["a"], "hp.max_steps": [5000], "hp.epochs": [3]})
    assert CurveSet.from_frame(pl.DataFrame(calls), settings).end("all").source is None
    calls["epoch"] = [0] * 4 + [1] * 4 + [2]
    found = CurveSet.from_frame(pl.DataFrame(calls), settings).end("all")
    assert (found.step, found.source) == (11, "settings")


def test_a_resumed_run_that_has_passed_its_setting_is_not_at_its_end():
    found = curves([30, 150], {"hp.max_steps": [100, 100]}).end("all")
    assert (found.step, found.source) == (100, "settings")
    assert found.note == (
        "run 'r1' has trained past its hp.max_steps of 100, to step 150: that is not taken as an "
        "end"
    )
    assert end([150, 150], {"step_hint": [100, 100]}) == (150, None)
    assert end([150], {"hp.max_steps": [100], "hp.num_iterations": [400]}) == (400, "settings")
    assert end([45], {"hp.epochs": [4]}, epoch=lambda s: (s - 1) // 10) == (45, None)


def test_settings_that_differ_are_noted():
    found = curves([5, 5, 5], {"step_hint": [10, 20, 60]}).end("all")
    assert (found.step, found.source) == (20, "settings")
    assert "end at steps 10 to 60; their median, 20" in found.note


def test_finished_runs_tell_the_end_unless_another_has_gone_further():
    final = {"final": [1.0, None, None]}
    assert end([100, 40, 60], final) == (100, "finished runs")
    assert end([30, 40, 60], final) == (60, None)  # stopped early
    assert end([50, 100, 60], {"final": [1.0, 1.0, None]}) == (100, "finished runs")
    assert end([100, 40, 60], final | {"hp.max_steps": [None, 300, 300]}) == (300, "settings")


def test_of_a_group_each_its_own():
    rows = [{"group": g, "run": r, "step": s, "loss": 1 / s}
            for g in "ab" for r in "xy" for s in range(1, 11)]  # fmt: skip
    runs = {"group": list("aabb"), "run": list("xyxy"), "hp.max_steps": [50, 50, None, None]}
    ranking = ec.rank(CurveSet.from_frame(pl.DataFrame(rows), pl.DataFrame(runs)))
    assert ranking.horizons == {"a": 50, "b": 10}
    assert ranking.to_dict()["horizon_from"] == {"a": "settings", "b": None}


def test_past_runs_of_the_group_tell_its_end():
    past = curves([100] * 3, {"final": [1.0, 2.0, 3.0], "higher_is_better": [False] * 3})
    ranking = ec.rank(curves([10, 12]), finished=past)
    assert (ranking.horizons, ranking.horizon_from) == ({"all": 100}, {"all": "finished runs"})
    beyond = ec.rank(curves([10, 120]), finished=past)
    assert (beyond.horizons, beyond.horizon_from) == ({"all": 120}, {"all": None})


def test_chances_are_less_sure_where_the_end_is_unknown():
    """The order is the same; the score fades as if half of the training were still to come."""
    known, unknown, twice = (ec.rank(curves([40] * 6), horizon=h) for h in (40, None, 80))
    assert known.table["run"].to_list() == unknown.table["run"].to_list()
    assert unknown.table["p_first"][0] < known.table["p_first"][0]
    assert unknown.table.equals(twice.table)


# As a person runs it.


def table(path, n, rate, planned=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("step,loss\n" + "".join(f"{s},{1 + 9 / (1 + rate * s)}\n" for s in range(1, n)))


def sweep(folder, lengths, final=()):
    """A folder of logs, of which the first have outcomes."""
    for i, n in enumerate(lengths):
        table(folder / f"run-{i}.csv", n, 0.1 + 0.1 * i)
    if final:
        rows = [f"run-{i}.csv,{value},false" for i, value in enumerate(final)]
        (folder / "runs.csv").write_text("\n".join(["run,final,higher_is_better", *rows, ""]))
    return folder


def ranked(*arguments):
    ran = earlycall("rank", *arguments, "--format", "json")
    assert ran.code == 0, ran.err
    return ran.json


def claims(text):
    """What is said of an end of training, but for the sentence that it is unknown."""
    text = " ".join(text.replace("\\", "").lower().split())
    assert UNKNOWN_END in text
    said = ("nothing to stop", "saves", "of training", "the end of their")
    return [claim for claim in said if claim in text.replace(UNKNOWN_END, "")]


@pytest.mark.parametrize("lengths", [[40, 60, 50, 55], [60] * 4], ids=["midway", "together"])
def test_of_an_unknown_end_nothing_is_said(tmp_path, lengths):
    folder = sweep(tmp_path / "runs", lengths)
    shown = earlycall("rank", folder)
    assert claims(shown.out) == []
    said = earlycall("rank", folder, "--budget", "50%", "--format", "json")
    assert said.err.count("the budget counts from the largest step logged") == 1
    assert said.json["horizon_from"] is None
    assert said.json["horizon"] == max(lengths) - 1
    made = earlycall("report", folder, "-o", tmp_path / "report.md")
    assert made.code == 0, made.err
    assert claims((tmp_path / "report.md").read_text()) == []


def test_a_given_end_is_the_end(tmp_path):
    folder = sweep(tmp_path, [40, 60, 50, 55])
    told = ranked(folder, "--horizon", "500")
    assert (told["horizon"], told["horizon_from"]) == (500, "given")
    assert UNKNOWN_END not in earlycall("rank", folder, "--horizon", "500").out
    ranking = ec.rank(ec.read(folder), horizon=500)
    [verdict] = verdicts(ranking, ec.read(folder))
    assert verdict.left == pytest.approx(1 - (39 + 59 + 49 + 54) / 2000)


def test_one_finished_and_nine_running(tmp_path):
    told = ranked(sweep(tmp_path, [201, *[60] * 9], final=[0.4]))
    assert (told["horizon"], told["horizon_from"]) == (200, "finished runs")


def test_a_trainer_state_tells_its_max_steps(tmp_path):
    for name, rate in (("a", 0.1), ("b", 0.2)):
        rows = [{"step": s, "epoch": s / 50, "loss": 1 + 9 / (1 + rate * s)}
                for s in range(10, 101, 10)]  # fmt: skip
        state = {"max_steps": 500, "num_train_epochs": 10, "log_history": rows}
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text(json.dumps(state))
    told = ranked(tmp_path)
    assert (told["horizon"], told["horizon_from"]) == (500, "settings")
    assert UNKNOWN_END not in earlycall("rank", tmp_path).out


def test_lightning_tells_its_max_epochs(tmp_path):
    """Its CSV logger has a row every 50 steps, which count from 0, and one at each epoch's end."""
    for name, rate in (("a", 0.1), ("b", 0.2)):
        folder = tmp_path / name / "version_0"
        folder.mkdir(parents=True)
        lines = ["epoch,step,train_loss,val_loss"]
        for step in range(49, 600, 50):
            lines.append(f"{step // 200},{step},{1 + 9 / (1 + rate * step)},")
            if step % 200 == 199:
                lines.append(f"{step // 200},{step},,{1.2 + 9 / (1 + rate * step)}")
        (folder / "metrics.csv").write_text("\n".join([*lines, ""]))
        (folder / "hparams.yaml").write_text("lr: 0.1\nmax_epochs: 10\nmax_steps: -1\n")
    told = ranked(tmp_path)
    assert (told["horizon"], told["horizon_from"]) == (1999, "settings")


def test_energy_saves_nothing_of_an_unknown_end(tmp_path):
    for name, rate in (("a", 0.1), ("b", 0.2)):
        rows = (f"{s},{s},{s * 100},{1 + 9 / (1 + rate * s)}\n" for s in range(1, 61))
        (tmp_path / f"{name}.csv").write_text("step,seconds,joules,loss\n" + "".join(rows))
    ran = earlycall("energy", tmp_path, "--format", "json")
    rows = ran.json["savings"]
    assert [row["way"] for row in rows] == ["choose", "stop"]
    assert {row[k] for row in rows for k in row if k.startswith(("would", "saved"))} == {None}
    shown = " ".join(earlycall("energy", tmp_path).out.split())
    assert "End of training unknown: give --horizon" in shown
    assert "would have saved" not in shown
    known = earlycall("energy", tmp_path, "--horizon", "60", "--format", "json").json["savings"]
    assert [row["saved_pct"] > 0 for row in known] == [True, False]


def test_the_page_offers_what_is_known_of_the_end():
    from earlycall.dashboard.choices import choices
    from earlycall.dashboard.view import View

    def first(*arguments):
        sliders = {
            name: steps for name, _, steps, _ in choices(curves(*arguments), View())["sliders"]
        }
        return sliders["horizon"][0][1]

    assert first([10, 20]) == "unknown, logged are 20 steps"
    assert first([10, 20], {"step_hint": [300, 300]}) == "by settings, 300 steps"
    assert first([10, 20], {"final": [None, 1.0]}) == "by finished runs, 20 steps"


def test_evaluation_keeps_its_own_definition():
    """The median ``step_hint``, also where runs went past it; else the largest step."""
    runs = {"final": [1.0, 2.0, 3.0], "higher_is_better": [False] * 3}
    assert (
        curves([100, 90, 80], runs | {"step_hint": [50, 50, 60]}).at_full_length().horizon("all")
        == 50
    )
    whole = curves([100, 90, 80], runs | {"hp.max_steps": [500] * 3}).at_full_length()
    assert whole.horizon("all") == 100
    assert np.isclose(ec.evaluate(curves([40] * 3, runs), budgets=[0.5]).table["n"][0], 3)
