"""Rows that are added part by part are cleaned as if all had been there at once."""

import random

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from earlycall.curves.cleaning import Observations, RereadRequiredError


def logged(rng: random.Random) -> pl.DataFrame:
    """Rows with restarts, several rows a step, missing epochs, metrics that come late."""
    step, epoch, rows = 0, 0.0, []
    fractional = rng.random() < 0.3
    for i in range(rng.randrange(4, 60)):
        step = max(step + rng.choice([0, 1, 1, 1, 2, -4 if rng.random() < 0.1 else 1]), 0)
        epoch += rng.choice([0, 0, 0.5 if fractional else 1])
        late = rng.random() if i > 10 else None
        rows.append({"step": step, "epoch": epoch if rng.random() < 0.9 else None,
                     "loss": rng.random(), "late": late})  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"late": pl.Float64})


@pytest.mark.parametrize("seed", range(60))
def test_parts_add_up_to_the_whole(seed):
    rng = random.Random(seed)
    table = logged(rng)
    if rng.random() < 0.3:
        table = table.drop("epoch")
    whole, parts, at = Observations(), Observations(), 0
    whole.add(table)
    while at < table.height:
        size = rng.randrange(1, 12)
        part = table[at : at + size]
        before = parts.frame() if at else None
        try:
            parts.add(part.drop(c for c in part.columns if not part[c].count()))
        except RereadRequiredError:
            assert_frame_equal(parts.frame(), before)
            parts = Observations()
            parts.add(table[: at + size])
        at += size
    found, wanted = parts.frame(), whole.frame()
    if not table["late"].count():
        wanted = wanted.drop("late", strict=False)
        found = found.drop("late", strict=False)
    assert_frame_equal(found, wanted, check_column_order=False)


def test_a_row_of_another_kind_asks_for_all_rows_together():
    first = pl.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]})
    for other in (
        pl.DataFrame({"loss": [0.5]}),
        pl.DataFrame({"step": [3], "run": ["b"], "loss": [0.5]}),
        pl.DataFrame({"step": [3.0, None], "loss": [0.5, 0.4]}),
        pl.DataFrame({"step": [3], "epoch": [1], "loss": [0.5]}),
    ):
        rows = Observations()
        rows.add(first)
        with pytest.raises(RereadRequiredError):
            rows.add(other)
        assert rows.frame()["loss"].to_list() == [2.0, 1.0]
