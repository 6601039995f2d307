"""Plans: what is declared is what is trained, and a slip is one sentence."""

from pathlib import Path

import polars as pl
import pytest
import yaml

from conftest import earlycall
from earlycall import InputError
from earlycall.study.plan import Plan

GOOD = {
    "data": {"name": "digits", "train": 300, "val": 100},
    "epochs": 2,
    "architectures": {"mlp": "thin/mlp"},
    "settings": {"sgd": {"lr": 0.1}},
}
FASHION = Path(__file__).parents[2] / "examples" / "study" / "fashion.yaml"


def test_the_grid_is_all_seeds_settings_and_architectures():
    plan = Plan.of(GOOD | {"seeds": 2, "settings": {"a": {}, "b": {"optimizer": "adam"}}})
    assert [run.name for run in plan.runs()] == ["mlp-a-s0", "mlp-b-s0", "mlp-a-s1", "mlp-b-s1"]
    assert len({run.fingerprint for run in plan.runs()}) == 4
    assert Plan.of(plan.declared()) == plan


def test_the_plan_of_the_real_study_is_large_enough():
    plan = Plan.load(FASHION)
    assert len(plan.architectures) >= 12
    assert len(plan.settings) >= 4
    assert plan.epochs >= 20
    assert plan.data["train"] >= 5000


SLIPS = {
    "no architectures": ({"architectures": {}}, "'architectures' is missing or empty"),
    "a key too many": ({"epoch": 3}, "unknown key 'epoch'; there are: name, data"),
    "epochs as text": ({"epochs": "ten"}, "'epochs' must be a whole number, got 'ten'"),
    "no model": ({"architectures": {"a": {"widths": [1]}}}, "architecture 'a' needs a 'model'"),
    "a name with a slash": ({"architectures": {"a/b": "thin/mlp"}}, "cannot be the name"),
    "an optimiser": ({"settings": {"a": {"optimizer": "sdg"}}}, "'sdg'; there are: sgd, adam"),
    "a rate as text": ({"settings": {"a": {"lr": "high"}}}, "lr 'high', not a number"),
    "a rate below 0": ({"settings": {"a": {"lr": -1}}}, "lr -1; it must be above 0"),
    "half a batch": ({"settings": {"a": {"batch_size": 0.5}}}, "batch_size 0.5; it must be a"),
    "seeds as text": ({"seeds": "abc"}, "'seeds' must be whole numbers"),
    "seeds as a fraction": ({"seeds": 1.5}, "'seeds' must be whole numbers"),
    "a list of settings": ({"settings": [{"lr": 1}]}, "'settings' must be a mapping"),
    "data without a name": ({"data": {"train": 3}}, "'data' needs the 'name'"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_a_plan_is_named(slip):
    changed, said = SLIPS[slip]
    with pytest.raises(InputError, match=r"^the plan: ") as caught:
        Plan.of(GOOD | changed)
    assert said in str(caught.value)


def test_yaml_that_is_none_names_the_line(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("epochs: 3\nsettings: {a: [}\n")
    with pytest.raises(InputError, match=r"plan\.yaml, line 2: not YAML"):
        Plan.load(path)
    path.write_text("just words")
    with pytest.raises(InputError, match="a plan is a mapping"):
        Plan.load(path)


MISFITS = {
    "data": ({"data": {"name": "digits", "train": 5000}}, "but there are 1300; ask for fewer"),
    "a data set": ({"data": "digitz"}, "no data set 'digitz'; there are: digits"),
    "an argument of the data": (
        {"data": {"name": "digits", "trian": 3}},
        "no argument 'trian'; there are: train, val",
    ),
    "a model of timm": (
        {"architectures": {"a": "timm/resnet18x"}},
        "architecture 'a': timm has no model 'resnet18x'; did you mean 'resnet18'",
    ),
    "an argument of a model": (
        {"architectures": {"a": {"model": "thin/mlp", "wide": 3}}},
        "model 'thin/mlp' cannot be built with {'wide': 3}",
    ),
    "a size of images": (
        {"architectures": {"a": {"model": "thin/vgg", "widths": [8, 8, 8, 8]}}},
        "does not take images of shape (1, 1, 8, 8)",
    ),
    "a module": ({"architectures": {"a": "nowhere:net"}}, "'nowhere:net' cannot be imported"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_what_cannot_be_trained_is_named_before_anything_trains(misfit, tmp_path):
    from earlycall.study.folder import StudyFolder
    from earlycall.study.run import check

    changed, said = MISFITS[misfit]
    with pytest.raises(InputError) as caught:
        check(StudyFolder(tmp_path, Plan.of(GOOD | changed)))
    assert said in str(caught.value)


def test_the_command_says_one_sentence_and_makes_no_folder(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(GOOD | {"architectures": {"a": "timm/nothing"}}))
    ran = earlycall("study", "run", plan, "-o", tmp_path / "study")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "timm has no model 'nothing'" in ran.err
    assert not (tmp_path / "study").exists()
    for command in ("list", "resume"):
        ran = earlycall("study", command, tmp_path)
        assert ran.code == 2
        assert "holds no study" in ran.err


def a_study_with_code(folder, home):
    """A study's folder whose plan imports a module that leaves a file behind."""
    from earlycall.study.folder import StudyFolder

    home.mkdir()
    (home / "left_behind.py").write_text(f"open({str(home / 'RAN')!r}, 'w')\nnet = None\n")
    plan = Plan.of(GOOD | {"architectures": {"a": "left_behind:net"}})
    return StudyFolder.make(folder, plan, imports=(str(home),))


def test_code_of_a_study_that_was_not_made_here_runs_only_when_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "theirs"))
    study = a_study_with_code(tmp_path / "study", tmp_path / "home")
    run = tmp_path / "study" / study.plan.runs()[0].name
    run.mkdir()
    curve = {"step": [1], "epoch": [0], "train_loss": [1.0], "lr": [0.1], "val_loss": [1.0],
             "val_accuracy": [0.5], "seconds": [1.0]}  # fmt: skip
    pl.DataFrame(curve).write_parquet(run / "curve.parquet")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "ours"))
    for command in (["export", "-o", tmp_path / "curves"], ["resume"]):
        ran = earlycall("study", command[0], tmp_path / "study", *command[1:])
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "imports code ('left_behind:net'" in ran.err
        assert "--trust" in ran.err
    assert earlycall("study", "list", tmp_path / "study").code == 0
    assert not (tmp_path / "home" / "RAN").exists()
    ran = earlycall("study", "export", tmp_path / "study", "-o", tmp_path / "curves", "--trust")
    assert (tmp_path / "home" / "RAN").exists()
    assert "--trust" not in ran.err


def test_a_study_that_was_made_here_is_trusted_until_it_is_changed(tmp_path, monkeypatch):
    from earlycall.study.folder import StudyFolder

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study = a_study_with_code(tmp_path / "study", tmp_path / "home")
    moved = study.path.rename(tmp_path / "moved")
    assert StudyFolder.open(moved).import_folders() == (str(tmp_path / "home"),)
    text = (moved / "study.json").read_text()
    (moved / "study.json").write_text(text.replace(str(tmp_path / "home"), "/elsewhere"))
    with pytest.raises(InputError, match="--trust"):
        StudyFolder.open(moved).import_folders()
    StudyFolder.open(moved, trusted=True)
    assert StudyFolder.open(moved).import_folders() == ("/elsewhere",)


def test_a_study_without_code_needs_no_trust_and_no_folder(tmp_path):
    from earlycall.study.folder import StudyFolder

    study = StudyFolder(tmp_path, Plan.of(GOOD), ("/elsewhere",), trusted=False)
    assert study.import_folders() == ()
