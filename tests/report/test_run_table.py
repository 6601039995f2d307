"""The table of runs that the terminal, notebooks, Markdown, the report and the page show."""

import polars as pl
import pytest

import earlycall as ec
from earlycall.report.run_table import run_table


@pytest.fixture
def curves():
    """Two groups; one of their runs diverges, one setting is the same in all."""
    rows = [
        {"group": g, "run": f"{g}-{k}.csv", "step": s, "train_loss": k + 9 / s}
        for g in "xy" for k in (4, 16, 1) for s in range(1, 40)
    ]  # fmt: skip
    rows += [{"group": "y", "run": "y-0.csv", "step": s, "train_loss": v}
             for s, v in enumerate((2.0, float("nan"), 1.0), 1)]  # fmt: skip
    runs = pl.DataFrame({"group": row["group"], "run": row["run"], "arch.graph": row["run"],
                         "tag.note": row["run"][::-1], "hp.same": 1, "hp.lr": 0.1 * len(row["run"])}
                        for row in rows[::39])  # fmt: skip
    return ec.CurveSet.from_frame(pl.DataFrame(rows), runs)


def test_it_has_a_column_for_all_that_is_known_of_the_runs(curves):
    table = run_table(ec.rank(curves), curves)
    assert [c.key for c in table.columns] == [
        "rank", "group", "run", "p_top", "p_first", "verdict", "score", "hp.lr",
        "tag.note", "last", "step", "note",
    ]  # fmt: skip
    assert table["run"].texts[0] == "x-1"
    assert table["note"].texts[-1] == "train_loss is nan at step 2"
    assert table["verdict"].values == (None,) * 3 + ("keep",) * 3 + ("stop",)
    assert len(table) == 7
    assert len(run_table(None, curves).select("run", "rank").columns) == 1


def test_it_is_sorted_and_cut_to_a_group(curves):
    table = run_table(ec.rank(curves), curves).group("y")
    assert table.sort("run").select("run").rows() == [("y-0",), ("y-1",), ("y-4",), ("y-16",)]
    for descending in (False, True):
        assert table.sort("score", descending=descending)["run"].texts[-1] == "y-0"
    assert table.sort("score", descending=True).head(1)["run"].values == ("y-1.csv",)


def test_what_a_screen_has_room_for_holds_the_settings_in_one_column():
    losses = [{"run": r, "step": s, "train_loss": 1 + k / s}
              for k, r in enumerate("abcdefgh", 1) for s in range(1, 9)]  # fmt: skip
    recipe = ["sgd", "adam", "slow", "adam"] * 2
    runs = pl.DataFrame({
        "group": "all", "run": list("abcdefgh"), "hp.recipe": recipe,
        "hp.optimizer": ["sgd" if r == "slow" else r for r in recipe], "hp.seed": [0, 1] * 4,
        "hp.lr": [k / 8 for k in range(8)],
    })  # fmt: skip
    curves = ec.CurveSet.from_frame(pl.DataFrame(losses), runs)
    whole = run_table(ec.rank(curves), curves)
    table = whole.compact()
    assert [c.key for c in table.columns if c.key not in whole] == ["settings"]
    assert [c.key for c in whole.columns if c.key not in table] == [
        "hp.recipe", "hp.optimizer", "hp.seed", "hp.lr"
    ]  # fmt: skip
    # The seed and the optimizer follow from the recipe; the learning rate decides nothing.
    assert "recipe adam, lr 0.125" in table["settings"].texts
    few = ec.CurveSet.from_frame(pl.DataFrame(losses), runs.select("group", "run", "hp.lr"))
    assert "hp.lr" in run_table(ec.rank(few), few).compact()
