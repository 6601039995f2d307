"""The models to choose from, and what is promised of the one that was chosen."""

import numpy as np
import polars as pl
import pytest
from scipy.optimize import check_grad
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from earlycall.errors import CurveWarning, InputError
from earlycall.nas.kernels import OnColumns
from earlycall.nas.known import Known
from earlycall.nas.model_file import load, save
from earlycall.nas.models import ChosenRegressor, CrossValidation
from earlycall.nas.predictor import Predictor, assessed, rank_unseen
from earlycall.scores.ranks import mean_ranks, rank_correlation


def settings(n, seed):
    """Networks of four blocks, and how good they are: smooth in the settings, with some noise."""
    draw = np.random.default_rng(seed)
    size = draw.integers(1, 9, (n, 4))
    label = np.log(size).sum(axis=1) - 0.1 * (size[:, 0] - 4) ** 2 + draw.normal(0, 0.3, n)
    return [{f"arch.block{i}_size": int(v) for i, v in enumerate(row)} for row in size], label


@pytest.fixture(scope="module")
def predictor():
    return Predictor().fit(*settings(60, 0))


def test_a_gaussian_process_learns_a_table_of_settings(predictor):
    assert predictor.regressor_.model_ == "gaussian process"
    assert predictor.quality_.by_model["gaussian process"] > predictor.quality_.by_model["boosting"]


def test_the_promise_is_kept_and_errors_are_as_large_as_it_says(predictor):
    rows, label = settings(600, 1)
    score, se = predictor.predict(rows, return_std=True)
    assert abs(predictor.quality_.spearman - rank_correlation(score, label)) < 0.08
    off = np.abs(score - (mean_ranks(label) - 0.5) / len(label)) / se
    assert 0.55 < (off < 1).mean() < 0.9
    assert (off < 1.96).mean() > 0.88


def test_a_gaussian_process_says_the_same_from_a_file(predictor, tmp_path):
    rows, _ = settings(5, 2)
    assert np.array_equal(
        load(save(predictor, tmp_path / "model")).predict(rows), predictor.predict(rows)
    )


def test_families_are_held_out_as_a_whole():
    """Within a family all are alike, and nothing tells how good another family is."""
    draw = np.random.default_rng(0)
    family = np.repeat(np.arange(12), 5)
    rows = [{"arch.name": f"{'abcdefghijkl'[f]}net_{i}", "arch.width": float(f) ** 2 % 7 + i / 100}
            for i, f in enumerate(family)]  # fmt: skip
    label = draw.permutation(12)[family] + draw.normal(0, 0.1, 60)
    by_family = Predictor("boosting").fit(rows, label).quality_
    assert by_family.held_out == "families"
    assert by_family.architectures == 60
    assert by_family.spearman < 0.6
    unnamed = [{"arch.width": row["arch.width"]} for row in rows]
    by_architecture = Predictor("boosting").fit(unnamed, label).quality_
    assert by_architecture.held_out == "architectures"
    assert by_architecture.spearman > 0.7


def of(group, widths, name=None):
    return [{"group": group, "arch.width": w, "arch.name": name} for w in widths]


def test_an_architecture_that_is_good_elsewhere_is_expected_to_be_good_here():
    """Half of what makes it good cannot be read off its features."""
    draw = np.random.default_rng(0)
    width = draw.permutation(np.arange(40.0))
    hidden = draw.normal(0, 1, 40)

    def label():
        return width / 15 + hidden + draw.normal(0, 0.3, 40)

    there, here = np.concatenate([label(), label()]), label()
    joint = Predictor("ridge").fit([*of("a", width), *of("b", width)], there)
    by_features = joint.predict([{"arch.width": w} for w in width])  # nobody says where
    assert rank_correlation(joint.predict(of("c", width)), here) > 0.9
    assert rank_correlation(by_features, here) < 0.8
    assert np.allclose(joint.predict(of("a", width)), by_features)  # known there itself
    unknown = width + 0.5
    assert np.allclose(
        joint.predict(of("c", unknown)), joint.predict([{"arch.width": w} for w in unknown])
    )


def test_what_groups_do_not_agree_on_is_not_taken_along():
    draw = np.random.default_rng(0)
    width = draw.permutation(np.arange(40.0))
    labels = [width / 15 + draw.normal(0, 1, 40) for _ in range(2)]
    rows = [*of("a", width), *of("b", width)]
    assert Predictor("ridge").fit(rows, np.concatenate(labels)).known_ == Known()


def test_in_another_data_set_a_name_is_the_same_architecture_if_it_was_in_each():
    """Its size is another there. Settings add what they added."""
    draw = np.random.default_rng(0)
    good = dict(zip("abcdefgh", draw.permutation(8), strict=True))

    def rows(group, size, settings=(0.1, 0.2)):
        return [
            {"group": group, "arch.name": n, "arch.params": size * (1 + i), "hp.lr": lr}
            for i, n in enumerate(good)
            for lr in settings
        ]

    digits = rows("digits", 1e3)
    label = [good[row["arch.name"]] - 5 * row["hp.lr"] for row in digits]
    predictor = Predictor("ridge").fit(digits, label)
    fashion = rows("fashion", 1e4, (0.15, 0.1))
    expected = [good[row["arch.name"]] - 5 * row["hp.lr"] for row in fashion]
    with pytest.warns(CurveWarning, match="16 of 17 architectures are ranked by how they did in o"):
        rank_unseen(predictor, pl.DataFrame([*fashion, fashion[0] | {"arch.name": "z"}]))
    assert rank_correlation(predictor.predict(fashion), np.array(expected)) > 0.99
    assert rank_correlation(predictor.predict(digits), np.array(label)) > 0.6
    numbered = [row | {"arch.name": f"trial {i // 4}"} for i, row in enumerate(digits)]
    assert Predictor("ridge").fit(numbered, label).known_ == Known()


def test_architectures_of_which_only_the_size_is_known_are_not_taken_for_one():
    rows = [{"group": str(i), "arch.params": 10.0**i} for i in range(8)]
    predictor = Predictor("ridge").fit(rows, np.arange(8.0))
    new = [{"group": "new", "arch.params": 3 * 10.0**i} for i in range(6)]
    assert len(set(predictor.predict(new))) == 6


def test_the_luck_of_choosing_is_not_promised():
    """Of many models that know nothing, the best looks as if it knew something."""
    draw = np.random.default_rng(0)
    y = (mean_ranks(draw.normal(size=40)) - 0.5) / 40
    predicted = {f"m{i}": draw.normal(size=(1, 40)) for i in range(20)}
    samples = [draw.integers(0, 40, 40) for _ in range(200)]
    spearman = {k: rank_correlation(p[0], y) for k, p in predicted.items()}
    resampled = {
        k: np.array([rank_correlation(p[0, s], y[s]) for s in samples])
        for k, p in predicted.items()
    }  # fmt: skip
    cv = CrossValidation(spearman, predicted, resampled)
    one = CrossValidation({"m0": 0.4}, {"m0": predicted["m0"]}, {"m0": resampled["m0"] * 0 + 0.4})
    assert cv.optimism > 0.05
    assert one.optimism == 0
    assert assessed(cv, y)[0] < max(spearman.values())


def test_a_kernel_on_columns_is_that_kernel_of_them():
    X = np.random.default_rng(0).normal(size=(12, 5))
    kernel = OnColumns(RBF(0.7), 1, 3) + OnColumns(RBF(1.3), 3, 5) + WhiteKernel(0.1)
    expected = RBF(0.7)(X[:, 1:3]) + RBF(1.3)(X[:, 3:]) + 0.1 * np.eye(12)
    assert np.allclose(kernel(X), expected)
    process = GaussianProcessRegressor(kernel, optimizer=None).fit(X, np.sin(X[:, 1]))
    likelihood = process.log_marginal_likelihood
    assert check_grad(
        likelihood, lambda theta: likelihood(theta, eval_gradient=True)[1], kernel.theta
    ) < 1e-4  # fmt: skip


def test_a_model_that_there_is_not():
    with pytest.raises(InputError, match="there are: gaussian process"):
        ChosenRegressor("magic").fit(np.zeros((9, 1)), np.arange(9.0))


def test_a_gaussian_process_of_graphs_alone_is_refused():
    chain = '{{"a": {{"op": "{}", "input": ["x"]}}, "b": {{"op": "{}", "input": ["a"]}}}}'
    operations = ("relu", "tanh", "sigmoid")
    rows = [{"arch.graph": chain.format(a, b)} for a in operations for b in operations]
    with pytest.raises(InputError, match="learns from numbers and words"):
        Predictor("gaussian process").fit(rows, range(len(rows)))
