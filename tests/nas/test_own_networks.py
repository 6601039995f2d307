"""The how-to of a user with networks of their own, as the page has it: with real torch."""

import re
from pathlib import Path

import numpy as np

PAGE = Path(__file__).parents[2] / "docs" / "nas.md"
SECTION = "## Your own networks"


def test_described_collected_learnt_searched_trained_and_learnt_again(tmp_path, monkeypatch):
    section = PAGE.read_text().partition(SECTION)[2].partition("\n## ")[0]
    describe, learn, search = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(describe, names)
    one = names["candidate"](8, 3)
    assert one.columns["arch.params"] == 64 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 10 + 10
    assert (one.columns["arch.depth"], one.columns["arch.graph"].count("relu")) == (4, 3)

    exec(learn, names)
    first, store = names["learnt"], names["store"]
    assert (first.quality_.n, first.quality_.architectures, len(store)) == (8, 8, 8)
    assert names["labels"].target == "outlook"

    exec(search, names)
    found, again = names["found"].table, names["learnt"]
    trained = set(store.curves().runs["run"])
    assert len(trained) == 10
    assert again.quality_.n == 10
    assert set(found["run"].head(2)) < trained  # and none of the first eight was proposed again
    before = {f"mlp-{depth}x{width}" for width in (4, 8, 16, 32) for depth in (1, 3)}
    assert not before & set(found["run"])
    score = again.predict(found)
    assert np.isfinite(score).all()
    assert np.ptp(score) > 0
    store.close()
