"""Figures hold what they are made of, and open offline."""

import numpy as np

from conftest import earlycall
from earlycall import plots, read, replay


def test_cost_against_regret_holds_every_rule(digits):
    replayed = replay(read(digits), ["gain:0.02", "gain:0.1", "patience:3", "plateau"])
    figure = plots.cost_against_regret(replayed)
    shown = {text: (x, y) for trace in figure.data
             for text, x, y in zip(trace.hovertext, trace.x, trace.y, strict=True)}  # fmt: skip
    rows = replayed.summary().select("rule", "regret_pct", "cost_pct").rows()
    assert shown == {rule: (regret, cost) for rule, regret, cost in rows}
    assert figure.layout.xaxis.title.text == "regret, % of the gain"


def test_elasticity_along_a_curve():
    x = np.arange(1.0, 60)
    figure = plots.elasticity_along(x, 1 + 3 * 0.9**x, unit="epoch", threshold=0.05)
    loss, _, _, gain = figure.data
    assert loss.y[0] == 1 + 3 * 0.9
    assert gain.y[-1] < 0.05 < gain.y[0]


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
