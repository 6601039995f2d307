"""Figures hold what they are made of, name runs as text, and open offline."""

import numpy as np
import polars as pl
import pytest

import earlycall as ec
from conftest import earlycall
from earlycall import formatting as names
from earlycall import plots
from earlycall.plots.curves import MISSES
from earlycall.plots.theme import DARK, LIGHT, exchanged

HOSTILE = ["<script>alert(1)</script>", "</script><b>x", 'quo"te\'s', "new\nline", "شغّل",
           "%{y} $x$", "\u202ereversed"]  # fmt: skip


@pytest.fixture
def ranking(digits):
    return ec.rank(digits, budget=0.1)


@pytest.fixture
def figures(digits, ranking):
    """One of each figure of real runs, by theme."""
    curves = ec.read(digits)
    one = curves.curve("linear_lr0.1.csv")

    def draw(theme):
        return {
            "curves": plots.curves(curves, ranking=ranking, theme=theme),
            "ranking": ranking.plot(theme=theme),
            "fit": ec.fit(one.loss).plot(theme=theme),
            "elasticity": ec.Elasticity.of(one.loss, one.step).plot(theme=theme),
            "evaluation": ec.evaluate(curves, resamples=0).plot(theme=theme),
            "replay": ec.replay(curves, ["gain:0.1", "patience:3"]).plot(theme=theme),
            "scatter": plots.agreement_scatter(curves, theme=theme),
        }

    return draw


def test_curves_show_leaders_by_rank_and_all_others(digits, ranking):
    figure = plots.curves(digits, ranking=ranking)
    shown = [t.name for t in figure.data if t.showlegend is not False and t.name != MISSES]
    first = ranking.table["run"][:4].to_list()
    assert shown == [f"{i}. {run.removesuffix('.csv')}" for i, run in enumerate(first, 1)]
    others = {name for t in figure.data if t.name == "others" for name in t.text}
    assert others == {run.removesuffix(".csv") for run in ranking.table["run"][4:]}
    assert figure.layout.xaxis.title.text == "step"
    assert figure.layout.yaxis.title.text == "train_loss"
    assert figure.layout.yaxis.type == "log"


def test_curves_of_a_prefix_are_forecast_from_it_alone():
    x = np.arange(1, 201)
    losses = {"a": 1 + 4 / x, "b": 2 + 4 / x}
    torn = {"a": np.where(x > 50, 9.0, losses["a"]), "b": losses["b"]}
    dashed = []
    for curves in (losses, torn):
        figure = plots.curves(curves, budget=0.25, log=False)
        dashed.append(next(t for t in figure.data if t.line.dash == "5px,4px"))
        band = next(t for t in figure.data if t.fill == "toself")
        assert band.x.min() == 50
        assert band.x.max() == 200
    assert np.array_equal(dashed[0].y, dashed[1].y)
    assert dashed[0].y[-1] == pytest.approx(1 + 4 / 200, rel=0.01)


def dashes(figure):
    return [t.line.dash for t in figure.data if "px" in (t.line.dash or "") and t.name is None]


def test_a_fit_is_dashed_where_it_fits_in_the_scale_that_is_drawn_else_dotted():
    x = np.arange(1, 201)
    losses = np.where(x < 60, 1, 0.2) / x  # on a linear axis the drop is not to be seen
    assert dashes(plots.curves({"a": losses}, budget=0.5, log=False)) == ["5px,4px"]
    drawn = plots.curves({"a": losses}, budget=0.5, log=True)
    assert dashes(drawn) == ["1px,4px"]
    assert MISSES in [t.name for t in drawn.data if t.showlegend is not False]
    dotted = next(t for t in drawn.data if t.line.dash == "1px,4px")
    assert dotted.x.max() == 100
    assert not [t for t in drawn.data if t.fill == "toself"]
    exact = plots.curves({"a": 4 / x}, budget=0.5, log=True)
    assert dashes(exact) == ["5px,4px"]
    assert MISSES not in [t.name for t in exact.data]
    noisy = 4 / x * np.exp(np.random.default_rng(0).normal(0, 0.1, 200))
    assert dashes(plots.curves({"a": noisy}, budget=0.5, log=True)) == ["5px,4px"]
    assert ec.fit(losses).plot().layout.showlegend
    exact = ec.fit(1 + 4 / (x + 40)).plot()
    assert not exact.layout.showlegend
    low = exact.layout.yaxis.range[0]
    forecast = next(t for t in exact.data if t.line.dash == "5px,4px")
    assert low < forecast.y.min() < 1 + 4 / 240  # the forecast is in sight
    assert dashes(plots.curves({"a": np.ones(50)}, budget=0.5)) == ["5px,4px"]


def test_what_is_best_is_in_sight_whichever_way_is_better():
    x = np.arange(1, 101)
    rising = {f"r{i}": 0.1 + (0.1 + 0.08 * i) * (1 - 1 / x) for i in range(10)}
    falling = {run: 1 - y for run, y in rising.items()}
    for name, curves in (("val_accuracy", rising), ("val_loss", falling)):
        rows = [{"run": r, "step": s, name: v} for r, y in curves.items()
                for s, v in zip(x, y, strict=True)]  # fmt: skip
        figure = plots.curves(pl.DataFrame(rows), metric=name)
        low, high = figure.layout.yaxis.range
        best = [curves[r][-1] for r in ("r9", "r8")]
        assert figure.layout.yaxis.type != "log"
        assert all(low < value < high for value in best), name
        leader = next(t for t in figure.data if t.name == "r9")
        assert (leader.y[-1] > leader.y[0]) == (name == "val_accuracy")


def test_a_rule_is_labelled_by_its_threshold_and_a_combined_one_in_full(digits):
    rules = ["gain:0.1", "gain:0.1 or patience:3"]
    figure = plots.cost_against_regret(ec.replay(digits, rules))
    texts = {text for trace in figure.data for text in trace.text or () if text}
    assert texts <= {"0.1", "gain:0.1 or patience:3"}
    assert "0.1" in texts


def test_of_many_curves_as_many_are_drawn_as_the_eye_can_see():
    rng = np.random.default_rng(0)
    losses = {f"run{i}": 1 + 3 / np.arange(1, 301) + rng.normal(0, 0.1, 300) for i in range(1500)}
    figure = plots.curves(losses)
    others = [t for t in figure.data if t.name == "others"]
    assert sum(len(set(t.text)) for t in others) == 150
    assert figure.layout.xaxis.title.text == "step; 150 of 1,496 others"
    ranked = ec.rank(losses, score="last_loss").table["run"].to_list()
    drawn = {name for t in plots.curves(losses, ranking=ec.rank(losses, score="last_loss")).data
             if t.name == "others" for name in t.text}  # fmt: skip
    assert {ranked[4], ranked[-1]} <= drawn
    assert sum(len(t.x) for t in figure.data) < 70_000
    assert len(figure.data) < 40


def test_a_diverged_run_is_drawn_up_to_there():
    figure = plots.curves({"a": [3, 2, 1, 0.9], "b": [3, 2, np.inf, np.nan]})
    cross = next(t for t in figure.data if t.name == "diverged")
    assert (cross.x[0], cross.y[0], cross.text[0]) == (2, 2, "b")


def test_groups_have_panels_of_their_own():
    rows = [{"group": g, "run": r, "step": s, "loss": 9 / s}
            for g in "xyz" for r in "ab" for s in range(1, 20)]  # fmt: skip
    figure = plots.curves(pl.DataFrame(rows))
    assert [a.text for a in figure.layout.annotations][:3] == ["x", "y", "z"]
    assert len(plots.curves(pl.DataFrame(rows), group="y").layout.annotations) == 0
    ranked = ec.rank(pl.DataFrame(rows), budget=0.5)
    assert ranked.plot().layout.yaxis3.title.text == "<b>y</b>"
    with pytest.raises(ec.InputError, match="has no group 'w'"):
        ranked.plot(group="w")


@pytest.mark.parametrize("run", HOSTILE)
def test_a_hostile_name_is_text_in_every_figure(run):
    curves = {run: 1 + 4 / np.arange(1, 40), "b": 2 + 4 / np.arange(1, 40)}
    label = names.shown(run)
    assert not set("<>\n\u202e$") & set(label)
    figure = plots.curves(curves, budget=0.5, ranking=ec.rank(curves, budget=0.5))
    assert f"1. {label}" in [t.name for t in figure.data]
    for drawn in (figure, ec.rank(curves).plot()):
        text = drawn.to_json()
        assert "<script" not in text
        assert "<b>x" not in text
    leader = next(t for t in figure.data if t.name == f"1. {label}")
    assert leader.hovertemplate.count("%{") == 2


def test_a_ranking_shows_scores_intervals_and_chances(ranking):
    figure = ranking.plot()
    dots = next(t for t in figure.data if t.mode == "markers")
    assert list(dots.x) == ranking.table["score"].to_list()
    first = next(t for t in figure.data if t.name == "first")
    assert first.x[0] == pytest.approx(100 * ranking.table["p_first"][0])
    many = ec.rank({f"r{i}": [3.0, 2.0, 1 + i / 99] for i in range(99)}, score="last_loss").plot()
    assert many.layout.yaxis.title.text == "rank"


def test_nothing_to_rank_is_said():
    with pytest.raises(ec.InputError, match="no run could be ranked"):
        ec.rank({"a": [np.nan, 1.0], "b": [np.nan, 1.0]}).plot()


def test_the_dark_figure_is_the_light_one_in_other_colours(figures):
    dark = figures("dark")
    for name, figure in figures("light").items():
        text = figure.to_json()
        for light, other in exchanged():
            text = text.replace(light, other)
        assert text == dark[name].to_json(), name


def test_lines_and_words_stand_out_from_the_paper():
    for palette in (LIGHT, DARK):
        for colour in palette.lines:
            assert contrast(colour, palette.paper) >= 3
        for word in (palette.ink, palette.muted):
            assert contrast(word, palette.paper) >= 4.5
        for end in (palette.cold, palette.warm):
            assert contrast(palette.ink, end) >= 4.5


def contrast(a, b):
    """As WCAG 2 defines it."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05

    dark, light = sorted([luminance(a), luminance(b)])
    return light / dark


def test_cost_against_regret_holds_every_rule(digits):
    replayed = ec.replay(digits, ["gain:0.02", "gain:0.1", "patience:3", "plateau"])
    figure = replayed.plot()
    shown = {text: (x, y) for trace in figure.data
             for text, x, y in zip(trace.hovertext, trace.x, trace.y, strict=True)}  # fmt: skip
    rows = replayed.means().select("rule", "regret_pct", "cost_pct").rows()
    assert shown == {rule: (regret, cost) for rule, regret, cost in rows}
    assert figure.layout.xaxis.title.text == "regret, % of the gain"


def test_elasticity_along_a_curve():
    x = np.arange(1.0, 60)
    figure = plots.elasticity_along(x, 1 + 3 * 0.9**x, unit="epoch", threshold=0.05)
    loss, _, _, gain = figure.data
    assert loss.y[0] == 1 + 3 * 0.9
    assert gain.y[-1] < 0.05 < gain.y[0]
    assert [a.text for a in figure.layout.annotations if "stop at" in a.text]
    short = ec.Elasticity.of([3.0, 2.0]).plot()
    assert list(short.data[0].y) == [3.0, 2.0]


def test_an_agreement_map_has_a_cell_for_each_score_and_budget(digits):
    found = ec.evaluate(digits, scores=["tse", "last_loss"], budgets=[0.1, 0.2], resamples=0)
    (cells,) = found.plot().data
    assert sorted(np.ravel(cells.z)) == sorted(found.table["spearman"])
    assert cells.x == ("10 %", "20 %")


def test_an_agreement_scatter_has_a_point_for_each_run(digits):
    (points,) = plots.agreement_scatter(digits, budget=0.1).data
    assert len(points.x) == 16
    assert points.x.max() == points.y.max() == 1
    assert "Spearman +0.8" in points.name
    with pytest.raises(ec.InputError, match="no outcomes"):
        plots.agreement_scatter({"a": [2.0, 1.0, 0.5], "b": [2.0, 1.5, 0.7]})


def test_energy_is_drawn_where_it_was_logged():
    rows = [{"run": r, "step": s, "loss": 9 / s, "joules": 4e3 * s * k, "seconds": 10.0 * s}
            for k, r in enumerate("ab", 1) for s in range(1, 20)]  # fmt: skip
    figure = plots.energy(pl.DataFrame(rows))
    bar = figure.data[-1]
    assert list(bar.x) == [pytest.approx(2 * 76e3 / 3600), pytest.approx(76e3 / 3600)]
    assert "800 W on average" in bar.text[0]
    assert figure.layout.xaxis.title.text == "energy used, Wh"
    many = [row | {"run": f"{row['run']}{i}"} for i in range(100) for row in rows]
    figure = plots.energy(pl.DataFrame(many))
    assert len(figure.data) == 151
    assert figure.layout.xaxis.title.text == "energy used, Wh; 150 of 200 runs"
    with pytest.raises(ec.InputError, match="no column 'joules'"):
        plots.energy({"a": [2.0, 1.0]})


def test_pictures_for_papers(tmp_path, browser_path, ranking):
    figure = ranking.plot()
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<svg"), (".pdf", b"%PDF")):
        path = plots.write(figure, tmp_path / f"ranking{suffix}")
        assert path.read_bytes().startswith(start)
    assert b"cnn-16-32-bn_lr0.1" in (tmp_path / "ranking.svg").read_bytes()
    with pytest.raises(ec.InputError, match=r"a figure is written as one of: .html, .png"):
        plots.write(figure, tmp_path / "ranking.gif")


def test_without_a_browser_a_picture_is_one_clear_sentence(tmp_path, monkeypatch, digits):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    ran = earlycall("replay", digits, "--rules", "gain:0.1", "--plot", tmp_path / "a.png")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "BROWSER_PATH" in ran.err


def test_the_command_draws_a_page_that_opens_offline(tmp_path, digits):
    page = tmp_path / "replay.html"
    ran = earlycall("replay", digits, "--rules", "gain:0.1,patience:3", "--plot", page)
    assert ran.code == 0, ran.err
    text = page.read_text()
    assert "gain:0.1" in text
    assert '<script src="http' not in text
    ran = earlycall("replay", digits, "--plot", tmp_path / "no" / "such.html")
    assert ran.code == 2
    assert "cannot be written" in ran.err


def test_elasticities_stand_side_by_side_with_the_threshold():
    found = ec.elasticity(
        {"falls": 1 + 4 / np.arange(1, 101), "flat": 1 + 4 / np.arange(1, 101) ** 3}
    )
    (points,) = found.plot().data
    assert sorted(points.y) == ["falls", "flat"]
    table = found.table.sort("gain_elasticity")
    assert sorted(points.x) == table["gain_elasticity"].to_list()
    assert found.plot().layout.shapes[0].x0 == found.threshold


def test_fits_of_runs_of_one_name_in_two_groups_stay_two_curves():
    rows = [
        {"group": group, "run": "a", "step": step, "train_loss": 1 + top / step}
        for group, top in (("x", 2.0), ("y", 3.0))
        for step in range(1, 31)
    ]
    fits = ec.fit_many(ec.CurveSet.from_frame(pl.DataFrame(rows)))
    firsts = {
        trace.y[0] for trace in fits.plot().data if trace.y is not None and len(trace.y) == 30
    }
    assert firsts == {3.0, 4.0}
