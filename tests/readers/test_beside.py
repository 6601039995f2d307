"""What stands beside a log: settings of any kind, and summaries, which are no runs."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from conftest import earlycall
from earlycall import CurveWarning, Follower, InputError, rank, read
from earlycall.readers.base.settings_file import settings_in

LOG = "step,loss\n1,2.5\n2,1.5\n3,1.25\n"
SWEEP = """
from pathlib import Path
import hydra

@hydra.main(version_base=None, config_path=None)
def main(config):
    folder = hydra.core.hydra_config.HydraConfig.get().runtime.output_dir
    Path(folder, "log.csv").write_text("step,loss\\n1,2\\n2,1\\n3,0.5\\n")

main()
"""


def write(path: Path, content: object) -> Path:
    """A file with a text, or with something as JSON in the manner of ``json.dump``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def known_of(folder: Path, run: str) -> dict:
    """What is known of a run, without its name."""
    [row] = read(folder).runs.filter(run=run).to_dicts()
    return {name: v for name, v in row.items() if name not in ("group", "run") and v is not None}


@pytest.mark.parametrize(
    "name",
    ["config.json", "config.yml", "params.yaml", "args.json", "hparams.yaml", "opt.yaml",
     "hyperparameters.json", "training_args.json", "Config.JSON"],
)  # fmt: skip
@pytest.mark.parametrize("log", ["log.csv", "logs/train.jsonl"])
def test_settings_beside_a_log_of_any_format(tmp_path, name, log):
    settings = {"optim": {"lr": 0.1}, "more": {"sizes": [1, 2]}}
    for run in "ab":
        write(tmp_path / run / name, settings)
        lines = "".join(f'{{"step": {i}, "loss": {3 - i}}}\n' for i in range(3))
        write(tmp_path / run / log, LOG if log.endswith("csv") else lines)
    assert known_of(tmp_path, f"a/{log}") == {"hp.optim.lr": 0.1, "hp.more.sizes": "[1, 2]"}


def test_a_sweep_of_hydra(tmp_path):
    write(tmp_path / "app.py", SWEEP)
    subprocess.run(
        [sys.executable, "app.py", "-m", "+lr=0.1,0.2", "+seed=3", "+model.depth=2",
         "hydra.sweep.dir=out"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    common = {"hp.seed": 3, "hp.model.depth": 2}
    assert known_of(tmp_path / "out", "1/log.csv") == {"hp.lr": 0.2} | common
    (tmp_path / "out" / "1" / ".hydra" / "config.yaml").unlink()
    assert known_of(tmp_path / "out", "1/log.csv") == {"hp.lr": 0.2} | common


def test_overrides_of_hydra_name_the_groups_that_were_chosen(tmp_path):
    write(tmp_path / "log.csv", LOG)
    write(tmp_path / ".hydra" / "config.yaml", "model: {depth: 4}\nmax: 9\nepochs: ${max}\n")
    write(tmp_path / ".hydra" / "overrides.yaml", "- model=resnet\n- ~x\n- hydra.job.chdir=true\n")
    write(tmp_path / ".hydra" / "hydra.yaml", "hydra: {job: {name: x}}\n")
    write(tmp_path / ".config.yaml", "lr: 0.5\n")
    write(tmp_path / ".test_results.json", {"test_acc": 0.5})
    want = {"hp.model": "resnet", "hp.model.depth": 4, "hp.max": 9, "hp.epochs": 9}
    assert known_of(tmp_path, "log.csv") == want


def test_the_nearest_file_counts_and_the_log_itself_and_runs_csv_before_it(tmp_path):
    state = {"log_history": [{"step": i, "loss": 3 - i} for i in range(1, 3)], "max_steps": 2,
             "num_train_epochs": 7}  # fmt: skip
    for run in "ab":
        write(tmp_path / run / "out" / "trainer_state.json", state)
        write(tmp_path / run / "out" / "args.json", {"num_train_epochs": 9, "lr": 0.1, "wd": 1})
        write(tmp_path / run / "config.yaml", "lr: 0.5\nmomentum: 0.9\nwd: 2\n")
    write(tmp_path / "runs.csv", "run,hp.wd\na/out,3\nb/out,4\n")
    assert known_of(tmp_path, "a/out") == {
        "step_hint": 2, "hp.num_train_epochs": 7, "hp.lr": 0.1, "hp.momentum": 0.9, "hp.wd": 3,
    }  # fmt: skip


def test_settings_of_several_runs_are_those_of_each_with_a_note(tmp_path):
    write(tmp_path / "config.yaml", "epochs: 9\n")
    write(tmp_path / "flat" / "config.yaml", "lr: 0.1\n")
    for run in "ab":
        write(tmp_path / "flat" / f"{run}.csv", LOG)
    with pytest.warns(CurveWarning, match="flat/config.yaml: taken as the settings of each"):
        found = known_of(tmp_path, "flat/a.csv")
    assert found == {"hp.lr": 0.1}  # the file of the whole project is not that of the runs in it
    with pytest.warns(CurveWarning, match="taken as the settings of each"):
        assert known_of(tmp_path / "flat" / "a.csv", "a.csv") == {"hp.lr": 0.1}


def test_halves_of_a_training_are_not_several_runs(tmp_path):
    for run in "ab":
        for half in ("train", "val"):
            write(tmp_path / run / f"{half}_log.csv", LOG)
        write(tmp_path / run / "config.yaml", "lr: 0.1\n")
        write(tmp_path / run / "test_results.json", {"test_acc": 0.9})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CurveWarning)
        runs = read(tmp_path).runs
    assert set(runs["hp.lr"]) == {0.1}
    assert set(runs["final"]) == {0.9}
    assert not any("taken as the settings" in str(warning.message) for warning in caught)


def test_the_settings_of_a_run_are_not_those_of_runs_below_it(tmp_path):
    write(tmp_path / "log.csv", LOG)
    write(tmp_path / "config.json", {"lr": 0.1})
    write(tmp_path / "test_results.json", {"test_acc": 0.9})
    write(tmp_path / "ablation" / "log.csv", LOG)
    assert known_of(tmp_path, "ablation/log.csv") == {}
    assert known_of(tmp_path, "log.csv")["hp.lr"] == 0.1


def test_what_bears_the_name_of_a_log_is_of_that_log_alone(tmp_path):
    for run, lr in (("lr0.1", 0.1), ("lr0.2", 0.2)):
        write(tmp_path / f"{run}_log.csv", LOG)
        write(tmp_path / f"{run}_config.json", {"lr": lr})
        write(tmp_path / f"{run}.json", {"sizes": [1, 2], "seed": 10 * lr})
        write(tmp_path / f"{run}_results.json", {"test_acc": lr})
    found = known_of(tmp_path, "lr0.2_log.csv")
    assert found.pop("final") == found.pop("summary.test_acc") == 0.2
    assert (found.pop("final_metric"), found.pop("higher_is_better")) == ("test_acc", True)
    assert found == {"hp.lr": 0.2, "hp.sizes": "[1, 2]", "hp.seed": 2}


def test_wrapped_values_and_no_keys_to_services(tmp_path):
    content = "wandb_version: 1\n_wandb: {value: {x: 1}}\nlr: {desc: null, value: 0.1}\n"
    write(tmp_path / "config.yaml", f"{content}hf_token: abc\neos_token: </s>\nmax_tokens: 8\n")
    found = settings_in(tmp_path / "config.yaml")
    assert found == {
        "hp.wandb_version": 1,
        "hp.lr": 0.1,
        "hp.eos_token": "</s>",
        "hp.max_tokens": 8,
    }


def test_two_files_that_differ_are_told(tmp_path):
    write(tmp_path / "log.csv", LOG)
    write(tmp_path / "config.json", {"epochs": 9})
    write(tmp_path / "args.json", {"epochs": 3})
    with pytest.warns(CurveWarning, match=r"'epochs' as in args\.json, not config\.json"):
        assert known_of(tmp_path, "log.csv") == {"hp.epochs": 3}


ODD = ["5", "null", '"text"', "[]", "{}", "[1, 2]", "true", "{", "[{}]", "[[]]", "\n", "x: [\n",
       "- 1\n", "[" * 100_000, '{"a": ' * 40_000, "- " * 100_000, "a: &a [*a]",
       f"a: 0x{'f' * 5000}", "a: 1" + ":1" * 100_000,
       '{"lr": 1e999}', "\udcff"]  # fmt: skip


@pytest.mark.parametrize("content", ODD)
def test_odd_documents_are_no_runs_and_no_crash(tmp_path, content):
    for name in ("config.json", "args.yaml", "result.json", "results.json", "summary.yaml"):
        path = write(tmp_path / "a" / name, "")
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    write(tmp_path / "a" / "log.csv", LOG)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CurveWarning)
        assert read(tmp_path).runs["run"].to_list() == ["a/log.csv"]


def test_settings_that_are_too_large_are_told(tmp_path):
    write(tmp_path / "log.csv", LOG)
    write(tmp_path / "config.yaml", "x: 1\n" * 100_000)
    with pytest.warns(CurveWarning, match="settings not read: larger than"):
        assert known_of(tmp_path, "log.csv") == {}


def test_settings_that_appear_and_change_are_followed(tmp_path):
    write(tmp_path / "a" / "log.csv", LOG)
    follower = Follower(tmp_path)
    assert "hp.lr" not in follower.update().runs.columns
    for lr in (0.1, 0.25):
        write(tmp_path / "a" / "config.json", {"lr": lr})
        assert follower.update().runs["hp.lr"].to_list() == [lr]
    write(tmp_path / "a" / "final_metrics.json", {"accuracy": 0.5})
    assert follower.update().runs["final"].to_list() == [0.5]
    (tmp_path / "a" / "config.json").unlink()
    assert "hp.lr" not in follower.update().runs.columns


SUMMARIES = {
    "test_results.json": '{"loss": 0.30, "accuracy": 0.91}\n',
    "all_results.json": '{"epoch": 3.0, "eval_loss": 0.3}\n',
    "metrics.json": '{"epoch": 9, "val_acc": 0.5}',  # `json.dump` does not end the line
    "summary.jsonl": '{"loss": 0.3}\n',
    "final.csv": "loss,accuracy\n0.3,0.9\n",
    "results.json": '{"per_class_ap": [0.1, 0.2], "mAP": 0.15}',
    "config.json": '{"hidden": [64, 64], "lr": 0.1}',
    "model.json": '{"hidden": [64, 64], "lr": 0.1}',
    "scores.json": '[{"loss": 0.3}]',
    "history.json": '{"loss": [0.3], "acc": [0.5]}',
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_single_record_is_no_run_and_a_sentence_where_it_was_named(tmp_path, name):
    write(tmp_path / "log.csv", LOG)
    path = write(tmp_path / name, SUMMARIES[name])
    assert read(tmp_path).runs["run"].to_list() == ["log.csv"]
    with pytest.raises(InputError, match=r"a single record: a summary|settings of a run, not"):
        read(path)


def test_a_summary_that_was_named_is_one_sentence(tmp_path):
    path = write(tmp_path / "test_results.json", {"loss": 0.3, "accuracy": 0.91})
    ran = earlycall("rank", path)
    what = "a single record: a summary, or a log that has just begun; name the log itself"
    assert (ran.code, ran.out, ran.err) == (2, "", f"earlycall: {path}: {what}\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [("log.jsonl", '{"step": 1, "loss": 2.5}\n'), ("metrics.json", '{"iteration": 1, "loss": 2}\n'),
     ("results.csv", "epoch,loss\n1,2.5\n"), ("results.json", '{"loss": 3}\n{"loss": 2}\n'),
     ("results.json", '{"loss": [3, 2], "test_acc": 0.5}')],
)  # fmt: skip
def test_a_log_that_has_just_begun_is_a_run(tmp_path, name, content):
    write(tmp_path / name, content)
    assert read(tmp_path).runs["run"].to_list() == [name]


def test_a_record_without_a_step_becomes_a_log_with_the_second(tmp_path):
    path = write(tmp_path / "log.jsonl", '{"loss": 2.5}\n')
    followers = Follower(tmp_path), Follower(path)
    assert [len(follower.update()) for follower in followers] == [0, 0]
    write(path, '{"loss": 2.5}\n{"loss": 1.5}\n')
    for follower in followers:
        assert follower.update().curve("log.jsonl").loss.tolist() == [2.5, 1.5]


def test_the_one_number_of_a_test_is_the_outcome(tmp_path):
    for run, accuracy in (("a", 0.8), ("b", 0.9)):
        write(tmp_path / run / "log.csv", LOG)
        results = {"accuracy": accuracy, "runtime": 3.0, "seed": 1, "args": {"lr": 0.1}}
        write(tmp_path / run / "test_results.json", results)
        write(tmp_path / run / "train_results.json", {"accuracy": 0.99})
    with pytest.warns(CurveWarning, match="the outcome of 2 runs is 'test_accuracy'"):
        found = known_of(tmp_path, "b/log.csv")
    assert found == {
        "final": 0.9, "final_metric": "test_accuracy", "higher_is_better": True, "hp.seed": 1,
        "hp.lr": 0.1, "summary.test_accuracy": 0.9, "summary.test_runtime": 3.0,
        "summary.train_accuracy": 0.99,
    }  # fmt: skip
    write(tmp_path / "runs.csv", "run,final\na/log.csv,0.25\nb/log.csv,0.5\n")
    found = known_of(tmp_path, "b/log.csv")
    assert found["final"] == 0.5
    assert "final_metric" not in found


@pytest.mark.parametrize(
    ("first", "second"),
    [({"test_acc": 0.9, "test_f1": 0.8}, {"test_acc": 0.9, "test_f1": 0.8}),
     ({"test_acc": 0.9}, {"test_loss": 0.8})],
)  # fmt: skip
def test_of_several_numbers_none_is_taken_as_the_outcome(tmp_path, first, second):
    for run, results in (("a", first), ("b", second)):
        write(tmp_path / run / "log.csv", LOG)
        write(tmp_path / run / "summary.json", results)
    with pytest.warns(CurveWarning, match="summaries beside the logs .* none is taken"):
        assert "final" not in known_of(tmp_path, "a/log.csv")


@pytest.mark.parametrize(
    "results", [{"train_acc": 0.9}, {"test_zeta": 0.9}, {"acc": 0.9}, {"test_acc": None},
                {"eval": {"loss": 0.3}}, {"test_acc": float("nan")}],
)  # fmt: skip
def test_what_is_no_outcome(tmp_path, results):
    """Of training, of unknown direction, of an unknown time, missing, or logged as a curve."""
    for run in "ab":
        write(tmp_path / run / "log.csv", LOG.replace("loss", "eval_loss"))
        write(tmp_path / run / "results.json", results)
    assert "final" not in known_of(tmp_path, "a/log.csv")


def test_a_summary_beside_several_runs_is_of_none(tmp_path):
    for run in "ab":
        write(tmp_path / f"{run}.csv", LOG)
    write(tmp_path / "test_results.json", {"test_acc": 0.9})
    assert known_of(tmp_path, "a.csv") == {}
    assert known_of(tmp_path / "a.csv", "a.csv") == {}


def test_a_summary_changes_neither_the_ranking_nor_what_makes_runs_comparable(tmp_path):
    for i, run in enumerate("abc"):
        losses = [3.0, 2 - i / 10, 1 - i / 10, 0.9 - i / 10]
        write(tmp_path / run / "log.csv",
              "step,loss\n" + "".join(f"{s},{v}\n" for s, v in enumerate(losses, 1)))  # fmt: skip
    before = rank(tmp_path).to_dict()
    for run in "abc":
        value = 0.1 if run == "a" else 0.9
        write(tmp_path / run / "test_results.json", {"loss": value, "smooth_loss": 2})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CurveWarning)
        assert rank(tmp_path).to_dict() == before
    assert not any("changes the scale" in str(warning.message) for warning in caught)


def test_with_a_pattern_documents_beside_the_log_are_left_out(tmp_path):
    for run in "ab":
        write(tmp_path / run / "out.log", "step 1 loss 2.5\nstep 2 loss 1.5\n")
        write(tmp_path / run / "config.yaml", "lr: 0.1\n")
        write(tmp_path / run / "test_results.json", {"loss": 0.5})
    curves = read(tmp_path, pattern=r"step (?P<step>\d+) loss (?P<loss>\S+)")
    assert curves.runs["run"].to_list() == ["a/out.log", "b/out.log"]
    assert curves.runs["hp.lr"].to_list() == [0.1, 0.1]
