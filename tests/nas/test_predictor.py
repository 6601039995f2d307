"""The predictor: learns from outcomes or early losses, says how good it is, is saved safely."""

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone

from conftest import earlycall
from earlycall.curves import CurveSet
from earlycall.errors import CurveWarning, InputError
from earlycall.nas.labels import label
from earlycall.nas.model_file import FACTS, MODELS, load, save
from earlycall.nas.models import ChosenRegressor
from earlycall.nas.predictor import Predictor, fit_labels, fit_predictor, rank_unseen
from earlycall.scores.ranks import rank_correlation
from nas.cells import chain, collected


@pytest.fixture(scope="module")
def predictor():
    return fit_predictor(collected())


def unseen(n=40):
    return collected(n, seed=7, noise=0).runs


def test_unseen_cells_are_ranked_from_their_graphs(predictor):
    table = unseen()
    ranked = rank_unseen(predictor, table.drop("final", "arch.params"))
    assert ranked.columns == ["group", "run", "rank", "score", "se"]
    truth = table.join(ranked, on="run")
    assert rank_correlation(truth["score"].to_numpy(), -truth["final"].to_numpy()) > 0.8
    assert ranked["rank"][0] == 1
    assert ranked["score"].is_sorted(descending=True)
    assert (ranked["se"] > 0).all()


def test_it_says_how_good_it_will_be(predictor):
    quality = predictor.quality_
    assert quality.architectures == 40
    assert quality.low < quality.spearman < quality.high
    assert quality.spearman > 0.7 > quality.baseline
    assert "Spearman" in str(quality)


def test_runs_of_one_architecture_are_held_out_together():
    """Otherwise a copy in the training part would tell the answer."""
    curves = collected(12)
    draw = np.random.default_rng(0).permutation(12).astype(float)
    noise = [{"arch.graph": g} for g in curves.runs["arch.graph"]]
    twice = Predictor("boosting").fit(noise * 3, np.tile(draw, 3))
    assert twice.quality_.architectures == 12
    assert twice.quality_.spearman < 0.6


def test_labels_from_the_first_epochs_agree_with_outcomes():
    curves = collected()
    finals = label(curves)
    assert finals.target == "final"
    for target in ("tse", "last_loss", "outlook"):
        early = label(curves, target=target, epochs=5)
        assert rank_correlation(early.standing, finals.standing) > 0.9, target
    assert label(collected(finished=False)).target == "outlook"


def test_runs_without_an_outcome_are_bridged_by_their_early_scores():
    curves = collected()
    cut = curves.runs["run"].to_list()[::2]
    runs = curves.runs.with_columns(final=pl.when(~pl.col("run").is_in(cut)).then(pl.col("final")))
    short = CurveSet.from_frame(
        curves.frame().filter(~pl.col("run").is_in(cut) | (pl.col("epoch") < 3)), runs
    )
    found = label(short)
    assert (len(found), found.bridged, found.target) == (40, 20, "final")
    assert rank_correlation(found.standing, label(curves).standing) > 0.9


def test_a_diverged_run_is_the_worst_of_its_group():
    curves = CurveSet.from_losses(
        {"good": [3.0, 2.0, 1.0], "bad": [3.0, 2.9, 2.8], "gone": [3.0, np.nan, np.nan]}
    )
    found = label(curves, target="last_loss")
    by_run = dict(zip(found.runs["run"], found.standing, strict=True))
    assert by_run["gone"] < by_run["bad"] < by_run["good"]


def test_no_better_than_the_parameter_count_is_refused_politely():
    curves = collected()
    size = curves.runs["arch.params"]
    told = CurveSet(curves.observations, curves.runs.with_columns(final=-size.cast(pl.Float64)))
    only_size = CurveSet(told.observations, told.runs.drop("arch.graph"))
    with pytest.raises(InputError, match=r"no better .* than the parameter count"):
        fit_predictor(only_size, model="ridge")
    assert not fit_predictor(only_size, model="ridge", force=True).quality_.useful
    with pytest.raises(InputError, match="too few"):
        fit_predictor(collected(4))


def test_it_is_a_scikit_learn_estimator():
    from sklearn.model_selection import cross_val_score
    from sklearn.utils.estimator_checks import check_estimator

    table = collected(30).runs
    scores = cross_val_score(
        clone(Predictor("ridge")), table.to_pandas(), -table["final"].to_numpy(), cv=3,
        scoring=lambda fitted, X, y: rank_correlation(fitted.predict(X), y),
    )  # fmt: skip
    assert scores.mean() > 0.3
    check_estimator(ChosenRegressor("ridge"))


def test_saved_and_loaded_it_says_the_same(predictor, tmp_path):
    again = load(save(predictor, tmp_path / "model"))
    assert rank_unseen(again, unseen()).equals(rank_unseen(predictor, unseen()))
    assert again.quality_ == predictor.quality_


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def _with(path, models, facts=None):
    with zipfile.ZipFile(path) as archive:
        whole = {name: archive.read(name) for name in archive.namelist()}
    whole[MODELS] = models or whole[MODELS]
    whole[FACTS] = facts or whole[FACTS]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in whole.items():
            archive.writestr(name, content)
    return path


def test_a_file_with_an_unexpected_type_is_refused_in_one_sentence(predictor, tmp_path):
    import skops.io

    path = save(predictor, tmp_path / "model")
    _with(path, skops.io.dumps({"a": np.random.default_rng, "b": io.BytesIO}))
    with pytest.raises(InputError, match="refused, since it holds"):
        load(path)


def test_a_pickle_is_not_a_model(tmp_path, capsys):
    path = tmp_path / "model"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match="not a model"):
        load(path)
    assert "executed" not in capsys.readouterr().out


def test_trees_that_lead_nowhere_are_refused(tmp_path):
    """scikit-learn would follow them out of its memory."""
    predictor = Predictor("boosting").fit(collected(12).runs, np.arange(12.0))
    tree = predictor.regressor_.regressor_.estimators_[0, 0].tree_
    state = tree.__getstate__()
    inner = state["nodes"]["left_child"] >= 0
    state["nodes"]["left_child"][inner] = 1_000_000
    tree.__setstate__(state)
    path = save(predictor, tmp_path / "model")
    with pytest.raises(InputError, match="damaged"):
        load(path)


@pytest.mark.parametrize("keep", [0, 10, 1000, -10])
def test_a_damaged_file_is_one_sentence(predictor, tmp_path, keep):
    path = save(predictor, tmp_path / "model")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"not a model|damaged"):
        load(path)


def test_facts_that_do_not_fit_are_refused(predictor, tmp_path):
    path = save(predictor, tmp_path / "model")
    for facts in ("[]", "{}", json.dumps({"format": 1}), json.dumps({"format": 99})):
        with pytest.raises(InputError, match=r"damaged|format"):
            load(_with(path, None, facts))


def test_graphs_of_one_chain_differ():
    assert chain(["activation_tanh"]) != chain(["activation_sigm"])


def test_an_early_score_of_a_metric_of_unknown_direction_is_asked_about(tmp_path):
    sizes = range(30)
    rows = [
        {"run": f"r{i:02d}", "step": s, "zeta": i / 30 - 1 / s} for i in sizes for s in range(1, 9)
    ]
    runs = pl.DataFrame({
        "run": [f"r{i:02d}" for i in sizes], "arch.name": [f"net{i}" for i in sizes],
        "arch.depth": list(sizes), "arch.params": [(7 * i) % 30 for i in sizes],
    })  # fmt: skip
    CurveSet.from_frame(pl.DataFrame(rows), runs).write(tmp_path / "set")
    command = ("nas", "fit", tmp_path / "set", "--target", "last_loss", "--epochs", 5,
               "--metric", "zeta", "-o", tmp_path / "model")  # fmt: skip
    asked = earlycall(*command)
    assert asked.code == 2
    assert "--maximize" in asked.err
    made = earlycall(*command, "--maximize", "--format", "json")
    assert made.code == 0, made.err
    assert made.json["spearman"] > 0.5


def with_accuracy_alone(known, named=True):
    """Runs that logged an accuracy and no loss; the first ones have an outcome, too."""
    curves = collected(24)
    runs = curves.runs.drop("higher_is_better").with_columns(
        final=pl.when(pl.int_range(pl.len()) < known).then(1 / pl.col("final")),
        higher_is_better=pl.lit(True),
        **({"final_metric": pl.lit("val_accuracy")} if named else {}),
    )
    names = curves.runs["run"].to_list()
    rows = curves.observations.select(
        run=pl.col("run_id").map_elements(lambda i: names[i], pl.String),
        step="step",
        val_accuracy=1 / pl.col("train_loss"),
    )
    return CurveSet.from_frame(rows, runs, name="accuracies")


def test_an_accuracy_alone_is_enough_where_there_are_outcomes():
    whole = label(with_accuracy_alone(24))
    assert (whole.target, whole.bridged, len(whole)) == ("final", 0, 24)
    half = label(with_accuracy_alone(12))
    assert (half.target, half.bridged, len(half)) == ("final", 12, 24)
    assert rank_correlation(half.standing, whole.standing) > 0.9


def test_runs_whose_outcome_cannot_be_estimated_are_left_out_with_a_word(tmp_path):
    curves = with_accuracy_alone(12, named=False)
    with pytest.warns(CurveWarning, match=r"12 of 24 runs have no outcome.*--metric.*val_accuracy"):
        found = label(curves)
    assert (found.target, len(found)) == ("final", 12)
    assert label(curves, metric="val_accuracy").bridged == 12
    curves.write(tmp_path / "set")
    ran = earlycall("nas", "fit", tmp_path / "set", "-o", tmp_path / "model", "--force")
    assert ran.code == 0, ran.err
    assert "12 of 24 runs have no outcome" in " ".join(ran.err.split())


def test_early_labels_have_the_noise_that_finished_runs_show():
    curves = collected(30)
    luck = np.random.default_rng(0).normal(0, 0.5, 30)
    curves = replace(curves, runs=curves.runs.with_columns(pl.col("final") + luck))
    outcome = label(curves)
    assert not outcome.noise.any()
    early = label(curves, target="outlook", epochs=5)
    off = np.sqrt(np.mean((early.standing - outcome.standing) ** 2))
    assert early.noise == pytest.approx(np.full(30, off))
    some = curves.runs.with_columns(final=pl.when(pl.int_range(pl.len()) < 20).then("final"))
    some = replace(curves, runs=some)
    bridged = label(some, epochs=5)
    assert (bridged.noise > 0).tolist() == [False] * 20 + [True] * 10
    none = label(replace(curves, runs=curves.runs.drop("final")))
    assert np.isnan(none.noise).all()


def test_standard_errors_include_the_noise_of_the_labels():
    labels = label(collected(30), target="outlook")
    exact = fit_labels(replace(labels, noise=np.zeros(30)), model="ridge")
    noisy = fit_labels(replace(labels, noise=np.full(30, 0.3)), model="ridge")
    assert noisy.errors_ == pytest.approx(np.sqrt(exact.errors_**2 + 0.09))
