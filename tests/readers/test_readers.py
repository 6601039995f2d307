"""Logs as training scripts write them, read by content."""

import csv
import json
import time

import polars as pl
import pytest

from earlycall import CurveSet, InputError, read
from earlycall.errors import CurveWarning

CSV = "step,epoch,train_loss,val_loss\n1,0,2.5,\n2,0,1.5,\n2,0,,1.75\n3,1,1.25,\n"


def loss(curves: CurveSet, run: str) -> list[float]:
    return curves.curve(run).loss.tolist()


def test_the_same_curve_through_every_reader(tmp_path):
    steps, losses = [1, 2, 3], [2.5, 1.5, 1.25]
    table = pl.DataFrame({"step": steps, "train_loss": losses})
    table.write_csv(tmp_path / "a.csv")
    table.write_csv(tmp_path / "b.tsv", separator="\t")
    table.write_ndjson(tmp_path / "c.jsonl")
    table.write_parquet(tmp_path / "d.parquet")
    curves = read(tmp_path)
    assert curves.runs["run"].to_list() == ["a.csv", "b.tsv", "c.jsonl", "d.parquet"]
    assert {tuple(c.loss) for c in curves.prefixes()[0]} == {tuple(losses)}


def test_runs_are_named_by_their_path_and_facts_come_from_runs_csv(tmp_path):
    for name in ("x/metrics.csv", "y/metrics.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(CSV)
    (tmp_path / "runs.csv").write_text("run,final\nx/metrics.csv,0.5\ny/metrics.csv,0.75\n")
    curves = read(tmp_path)
    assert curves.runs.select("run", "final").rows() == [
        ("x/metrics.csv", 0.5),
        ("y/metrics.csv", 0.75),
    ]


def test_sparse_rows_as_lightning_writes_them(tmp_path):
    (tmp_path / "metrics.csv").write_text(CSV)
    curves = read(tmp_path / "metrics.csv")
    assert loss(curves, "metrics.csv") == [2.5, 1.5, 1.25]
    assert curves.observations["val_loss"].to_list() == [None, 1.75, None]


def test_a_long_table_holds_many_runs(tmp_path):
    (tmp_path / "all.csv").write_text("run,step,loss\na,1,2\nb,1,3\na,2,1\nb,2,nan\n")
    curves = read(tmp_path / "all.csv")
    assert loss(curves, "a") == [2, 1]
    assert curves.curve("b").diverged


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity"])
def test_what_is_not_finite_is_kept(tmp_path, text):
    (tmp_path / "a.csv").write_text(f"step,loss\n1,2.5\n2,{text}\n")
    assert read(tmp_path / "a.csv").curve("a.csv").diverged


def test_json_lines_with_nested_metrics_and_a_line_still_being_written(tmp_path):
    lines = [{"step": i, "train": {"loss": 3.0 - i}, "note": "text"} for i in range(3)]
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 3, "train": {"lo'
    (tmp_path / "a.jsonl").write_text(text)
    curves = read(tmp_path / "a.jsonl")
    assert curves.metrics == ["train/loss"]
    assert loss(curves, "a.jsonl") == [3.0, 2.0, 1.0]


def test_a_last_row_that_is_not_whole_yet_is_left_for_later(tmp_path):
    (tmp_path / "a.csv").write_text("step,epoch,train_loss\n1,0,2.5\n2,0,1.5\n3,0")
    assert loss(read(tmp_path / "a.csv"), "a.csv") == [2.5, 1.5]
    (tmp_path / "b.jsonl").write_text('{"step": 1, "loss": 2}\n{"step": 2, "loss": null}\n')
    assert loss(read(tmp_path / "b.jsonl"), "b.jsonl") == [2.0]


def test_twenty_thousand_columns_beside_a_run_that_lost_its_loss(tmp_path):
    wide = {f"m{i}": [1.0] * 3 for i in range(20_000)}
    pl.DataFrame(
        {"run": "w", "step": [1, 2, 3], "train_loss": [3.0, 2.0, 1.0], **wide}
    ).write_parquet(tmp_path / "a.parquet")
    lost = {"run": "x", "step": [1, 2], "train_loss": [3.0, None]}
    pl.DataFrame(lost).write_parquet(tmp_path / "b.parquet")
    curves = read(tmp_path)
    assert curves.curve("b.parquet/x").diverged
    assert not curves.curve("a.parquet/w").diverged


def test_json_nan_tokens_are_recorded(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1, "loss": 2}\n{"step": 2, "loss": NaN}\n')
    assert read(tmp_path / "a.jsonl").curve("a.jsonl").diverged


def test_formats_are_recognised_by_content_not_by_name(tmp_path):
    pl.DataFrame({"step": [1], "train_loss": [1.0]}).write_parquet(tmp_path / "a.log")
    (tmp_path / "b.txt").write_text('{"step": 1, "train_loss": 1.0}\n')
    (tmp_path / "c.out").write_text("step;train_loss\n1;1.0\n2;0.5\n")
    (tmp_path / "notes.md").write_text("# Notes\nnothing, to see\n")
    assert read(tmp_path).runs["run"].to_list() == ["a.log", "b.txt", "c.out"]


def test_the_log_of_a_run_with_excel_habits(tmp_path):
    text = "\ufeffstep, train_loss \r\n1,2.5\r\n2,1.5\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert loss(read(tmp_path / "a.csv"), "a.csv") == [2.5, 1.5]


def test_several_paths_make_one_set(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(CSV)
    assert read([tmp_path / "x", tmp_path / "y"]).runs["run"].to_list() == ["x/a.csv", "y/a.csv"]


def test_nothing_outside_the_folder_is_read(tmp_path):
    (tmp_path / "secret.csv").write_text(CSV)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.csv").write_text(CSV)
    (tmp_path / "logs" / "link.csv").symlink_to(tmp_path / "secret.csv")
    (tmp_path / "logs" / "up").symlink_to(tmp_path)
    assert read(tmp_path / "logs").runs["run"].to_list() == ["a.csv"]


@pytest.mark.parametrize(
    "name", ["a\nb.csv", "ünïcödé.csv", "[bold]x.csv", "<script>.csv", "*.csv"]
)
def test_awkward_names(tmp_path, name):
    (tmp_path / name).write_text(CSV)
    (tmp_path / "z.csv").write_text(CSV)
    assert sorted(read(tmp_path).runs["run"]) == sorted([name, "z.csv"])


BROKEN = {
    "a directory": (None, "no logs in this folder"),
    "empty.csv": (b"", "the file is empty"),
    "blank.csv": (b" \n\n", "the file is empty"),
    "binary.csv": (b"\x00\x01\x02" * 50, "a binary file"),
    "latin.csv": ("step,loss\n1,2\n2,é\n".encode("latin-1"), "UTF-8"),
    "text.csv": (b"step,train_loss\n1,2.5\n2,high\n3,1.5\n", "line 3, column 'train_loss': 'high'"),
    "semi.csv": (b"step;train_loss\n1;2.5\n\n2;x\n", "line 4, column 'train_loss': 'x'"),
    "ragged.csv": (b"step,loss\n1,2.5\n2,1,5\n", "line 3: 3 cells, but the header has 2"),
    "bad.jsonl": (b'{"step": 1, "loss": 2}\noops\n{"step": 2}\n', "line 2: not JSON"),
    "text.jsonl": (b'{"step": 1, "loss": 2}\n{"step": 2, "loss": "x"}\n', "line 2, column 'loss'"),
    "list.jsonl": (b'{"step": 1, "loss": 2}\n[1]\n', "line 2: expected a JSON object"),
    "prose.txt": (b"It was a dark and stormy night.\n", "not a log in a known format"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_input_is_one_clear_sentence(tmp_path, name):
    content, sentence = BROKEN[name]
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read(path)
    assert sentence in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("part", [5, 50, 0.5, 0.9, -1])
def test_truncated_parquet(tmp_path, part):
    pl.DataFrame({"step": range(100), "train_loss": [1.0] * 100}).write_parquet(tmp_path / "w")
    whole = (tmp_path / "w").read_bytes()
    cut = int(part * len(whole)) if isinstance(part, float) else part
    (tmp_path / "curves.parquet").write_bytes(whole[:cut])
    with pytest.raises(InputError, match="not a whole Parquet file"):
        read(tmp_path)


def test_a_missing_path():
    with pytest.raises(InputError, match="/no/such/place: no such file or folder"):
        read("/no/such/place")


def test_a_huge_field_is_no_crash(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1," + "9" * (csv.field_size_limit() + 10) + "\n")
    try:
        assert read(tmp_path / "a.csv").curve("a.csv").diverged
    except InputError as error:
        assert "a.csv" in str(error)


ALIASES = "\n".join(
    [
        "a0: &a0 [lol, lol, lol]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)),
    ]
)
MERGES = "\n".join(
    ["a0: &a0 {x: 1, y: 2}"]
    + [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)]
)
MAPS = "\n".join(
    ["a0: &a0 {x: 1}"]
    + [f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}" for i in range(1, 12)]
)


DEEP_MAPS = MAPS + "".join(f"\na{i}: &a{i} {{k: *a{i - 1}, l: *a{i - 1}}}" for i in range(12, 40))


@pytest.mark.parametrize("settings", [MAPS, DEEP_MAPS, "a: &a {b: *a}"])
def test_a_summary_that_would_expand_to_billions_is_none(tmp_path, settings):
    (tmp_path / "metrics.csv").write_text("step,epoch,train_loss\n1,0,2\n2,0,1\n")
    (tmp_path / "test_results.yaml").write_text(f"test_accuracy: 0.1\n{settings}\n")
    begun = time.process_time()
    assert read(tmp_path).observations["train_loss"].to_list() == [2.0, 1.0]
    assert time.process_time() - begun < 5


def test_a_last_cell_beyond_what_csv_reads_is_left_out(tmp_path):
    log = tmp_path / "a.csv"
    log.write_text(f'step,train_loss,note\n1,2,x\n2,1,y\n3,1,"{"x" * 140_000}"')
    with pytest.warns(CurveWarning, match="the last line is left out until it has its end"):
        assert read(log).observations["train_loss"].to_list() == [2.0, 1.0]


def test_json_lines_of_two_bytes_a_letter_are_one_sentence(tmp_path):
    (tmp_path / "log.jsonl").write_bytes('{"step": 1, "loss": 2.5}\n'.encode("utf-16-le") * 3)
    with pytest.raises(InputError, match=r"line 1: not JSON"):
        read(tmp_path)


@pytest.mark.parametrize("settings", [ALIASES, MERGES, MAPS], ids=["lists", "merges", "maps"])
def test_settings_that_would_expand_to_billions_are_cut(tmp_path, settings):
    (tmp_path / "version_0").mkdir()
    (tmp_path / "version_0" / "hparams.yaml").write_text(f"lr: 0.1\n{settings}\n")
    (tmp_path / "version_0" / "metrics.csv").write_text("step,epoch,train_loss\n1,0,2\n2,0,1\n")
    begun = time.process_time()
    curves = read(tmp_path)
    assert time.process_time() - begun < 5
    assert curves.observations["train_loss"].to_list() == [2.0, 1.0]
    assert settings is MERGES or curves.runs["hp.lr"].to_list() == [0.1]


def test_a_planned_length_that_is_text_is_one_sentence(tmp_path):
    pl.DataFrame({"run": ["a", "a"], "step": [1, 2], "train_loss": [2.0, 1.0]}).write_parquet(
        tmp_path / "curves.parquet"
    )
    pl.DataFrame({"run": ["a"], "step_hint": ["x"]}).write_parquet(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match=r"column 'step_hint', run 'a': 'x' is not a number"):
        read(tmp_path)


@pytest.mark.parametrize(
    "counter",
    ["consumed_samples", "TotalEnvInteracts", "images_seen", "step_idx", "itr", "episode", "batch",
     "server_round", "gradient_steps", "Progress/kimg"],
)  # fmt: skip
def test_counters_are_known_by_what_they_count(tmp_path, counter):
    (tmp_path / "a.csv").write_text(f"{counter},loss\n100,3\n200,2\n300,1\n")
    assert read(tmp_path).observations["step"].to_list() == [100, 200, 300]


def test_the_size_of_each_batch_is_no_counter(tmp_path):
    (tmp_path / "a.csv").write_text("tokens,loss\n512,4\n490,3\n505,2\n480,1\n")
    with pytest.warns(CurveWarning, match="observations are counted"):
        assert read(tmp_path).observations["loss"].to_list() == [4, 3, 2, 1]


@pytest.mark.parametrize("name", ["^loss$", "^.*$", "*"])
def test_names_that_look_like_patterns(tmp_path, name):
    (tmp_path / "a.csv").write_text(f"step,{name},train_loss\n1,5,2\n2,6,1\n")
    rows = read(tmp_path).observations
    assert rows["train_loss"].to_list() == [2, 1]
    assert rows[f"{name} "].to_list() == [5, 6]


def test_blank_cells_in_a_header(tmp_path):
    (tmp_path / "a.csv").write_text("step,,loss,\n1,5,2,\n2,6,1,\n")
    assert read(tmp_path).observations["loss"].to_list() == [2, 1]


def test_text_with_commas_is_no_table(tmp_path):
    lines = (f"1epoch:train:{i}batch: iter_time=0.1, loss_ctc={i}, loss=3\n" for i in range(9))
    (tmp_path / "train.log").write_text("".join(lines))
    with pytest.raises(InputError, match="--pattern"):
        read(tmp_path / "train.log")


def test_a_curve_over_thresholds_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss\n1,2\n2,1\n")
    (tmp_path / "pr.csv").write_text("recall,precision\n0,1\n0.5,0.8\n1,0.1\n")
    with pytest.warns(CurveWarning, match=r"pr\.csv"):
        assert read(tmp_path).runs["run"].to_list() == ["a.csv"]


def test_thousands_of_settings_cost_no_minute(tmp_path):
    for run in "ab":
        (tmp_path / run).mkdir()
        (tmp_path / run / "log.csv").write_text("step,loss\n1,3\n2,2\n3,1\n")
        settings = "".join(f"name{i}: {i}\n" for i in range(5000))
        (tmp_path / run / "config.yaml").write_text(settings)
    curves = read(tmp_path)
    start = time.process_time()
    curves.end("all")
    assert time.process_time() - start < 1


def test_tags_that_would_name_runs_are_metrics(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "a")) as writer:
        for i in range(3):
            for tag in ("run", "group", "run_id", "loss"):
                writer.add_scalar(tag, i, i)
    curves = read(tmp_path)
    assert curves.runs.select("group", "run").rows() == [("all", "a")]
    assert curves.observations["loss"].to_list() == [0, 1, 2]


def test_a_chart_that_was_exported_without_bounds(tmp_path):
    (tmp_path / "chart.csv").write_text('"Step","a - loss","b - loss"\n"1","3","4"\n"2","2","3"\n')
    assert read(tmp_path).runs["run"].to_list() == ["a", "b"]
