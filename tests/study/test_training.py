"""One run: resumed with the same losses, recorded step by step, whatever the model."""

import json

import polars as pl
import pytest
import torch
from torch.utils.data import TensorDataset

from earlycall import InputError
from earlycall.readers.formats.study_folder import CURVE, RESULT
from earlycall.study.data import Images, Loaded, Splits, splits
from earlycall.study.files import CHECKPOINT, VERDICT, FolderFiles
from earlycall.study.models import build
from earlycall.study.plan import Plan
from earlycall.study.training import Training, train

torch.set_num_threads(1)


class KilledError(Exception):
    """Stands for the end of the process, between an epoch's files and the next epoch."""


def kill(record):
    raise KilledError


def with_dropout(num_classes, image_size):
    """A user's own model, with random numbers of its own."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Dropout(0.3), torch.nn.Linear(image_size**2, num_classes)
    )


def of_timm(**kwargs):
    from timm.models.metaformer import MetaFormer

    return MetaFormer(depths=(1, 1), dims=(8, 16), **kwargs)


@pytest.fixture
def one():
    declared = {
        "data": {"name": "digits", "train": 200, "val": 100},
        "epochs": 3,
        "architectures": {"own": f"{__name__}:with_dropout"},
        "settings": {
            "a": {"augment": True, "schedule": "onecycle", "warmup_epochs": 1, "batch_size": 33}
        },
    }
    return Plan.of(declared).runs()[0]


def test_a_run_killed_after_each_epoch_has_the_losses_of_one_undisturbed(one, tmp_path):
    data = splits(**one.data)
    whole = train(one, data, tmp_path / "whole")
    for _ in range(one.epochs):
        with pytest.raises(KilledError):
            train(one, data, tmp_path / "killed", after_epoch=kill)
    resumed = train(one, data, tmp_path / "killed")
    tables = [pl.read_parquet(tmp_path / n / CURVE).drop("seconds") for n in ("whole", "killed")]
    assert tables[0].equals(tables[1])
    assert tables[0].height == 3 * 7
    assert {k: whole[k] for k in ("test_accuracy", "test_loss")} == {
        k: resumed[k] for k in ("test_accuracy", "test_loss")
    }
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_a_finished_run_is_not_trained_again_and_another_of_its_name_is_refused(one, tmp_path):
    data = splits(**one.data)
    first = train(one, data, tmp_path)
    written = (tmp_path / CURVE).stat().st_mtime_ns
    assert train(one, data, tmp_path) == first
    assert (tmp_path / CURVE).stat().st_mtime_ns == written
    longer = Plan.of({
        "data": one.data, "epochs": 9, "architectures": {"own": one.model},
        "settings": {"a": one.hyper},
    }).runs()[0]  # fmt: skip
    with pytest.raises(InputError, match="planned differently"):
        train(longer, data, tmp_path)


def test_a_diverged_run_ends_where_it_diverges_and_its_epochs_are_counted_right(tmp_path):
    run = Plan.of({
        "data": {"name": "digits", "train": 320, "val": 100}, "epochs": 4,
        "architectures": {"mlp": {"model": "thin/mlp", "widths": [64, 64]}},
        "settings": {"hot": {"lr": 1e18, "warmup_epochs": 3, "batch_size": 32}},
    }).runs()[0]  # fmt: skip
    result = train(run, splits(**run.data), tmp_path)
    curve = pl.read_parquet(tmp_path / CURVE)
    assert result["diverged"]
    assert curve.height < 40
    assert curve["epoch"].to_list() == [i // 10 for i in range(curve.height)]
    assert curve["val_loss"].count() == result["epochs"]


def test_a_verdict_ends_a_run_in_order(one, tmp_path):
    data, files = splits(**one.data), FolderFiles(tmp_path)
    training = Training(one, data, files)
    training.epoch()
    assert not training.done
    files.write(VERDICT, json.dumps({"why": "enough"}).encode())
    assert training.done
    assert training.finish()["stopped"] == "enough"
    assert json.loads((tmp_path / RESULT).read_text())["epochs"] == 1


def test_images_loaded_as_needed_train_as_those_in_memory(one, tmp_path):
    held = splits(**one.data)
    loaded = Splits(
        *(Loaded(TensorDataset(part.x, part.y)) for part in (held.train, held.val, held.test)),
        num_classes=10,
    )
    train(one, held, tmp_path / "held")
    train(one, loaded, tmp_path / "loaded")
    tables = [pl.read_parquet(tmp_path / n / CURVE) for n in ("held", "loaded")]
    ends = [table.filter(pl.col("step") == 7)["train_loss"].to_list() for table in tables]
    assert all(0 < end[0] < 4 for end in ends)
    assert tables[0].select("step", "lr").equals(tables[1].select("step", "lr"))


def test_the_test_part_shares_no_image_with_the_others():
    parts = splits("digits", train=900, val=400)
    seen = [{tuple(x.flatten().tolist()) for x in part.x} for part in
            (parts.train, parts.val, parts.test)]  # fmt: skip
    assert [len(part) for part in (parts.train, parts.val, parts.test)] == [900, 400, 497]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert abs(float(parts.train.x.mean())) < 1e-4


def test_a_data_set_that_is_only_named_holds_a_fifth_out():
    parts = splits("digits")
    assert (len(parts.train), len(parts.val), len(parts.test)) == (1040, 260, 497)


def test_classes_and_size_are_chosen():
    parts = splits("digits", train=100, val=50, classes=[3, 8], size=12)
    assert (parts.num_classes, parts.image_size) == (2, 12)
    assert set(parts.train.y.tolist()) == {0, 1}


def test_a_folder_of_pictures_by_class_is_a_data_set(tmp_path):
    from torchvision.utils import save_image

    for label in ("dark", "light"):
        (tmp_path / label).mkdir()
        for i in range(10):
            picture = torch.full((3, 20, 24), float(label == "light")) * 0.9 + i / 100
            save_image(picture, tmp_path / label / f"{i}.png")
    parts = splits("folder", root=str(tmp_path), size=8, train=12, val=4)
    assert (parts.in_chans, parts.image_size, parts.num_classes) == (3, 8, 2)
    assert len(parts.test) == 4
    with pytest.raises(InputError, match="needs 'root'"):
        splits("folder")


@pytest.mark.parametrize("model", [
    {"model": "timm/test_efficientnet"},
    {"model": "torchvision/squeezenet1_1"},
    {"model": "torchvision/googlenet", "init_weights": False},
    {"model": "thin/mixer", "num_blocks": 1},
])  # fmt: skip
def test_models_of_every_source_train(model, tmp_path):
    run = Plan.of({
        "data": {"name": "digits", "train": 32, "val": 32, "size": 32}, "epochs": 1,
        "architectures": {"a": model}, "settings": {"s": {"batch_size": 31}},
    }).runs()[0]  # fmt: skip
    data = splits(**run.data)
    small = Splits(data.train, data.val, data.val, data.num_classes)
    result = train(run, small, tmp_path)
    assert result["params"] > 1000
    assert result["flops"] > 1000
    assert isinstance(data.train, Images)


def test_a_factory_that_passes_its_keywords_on_gets_what_every_model_takes():
    net = build(f"{__name__}:of_timm", {}, in_chans=1, num_classes=7, image_size=32)
    assert net(torch.zeros(1, 1, 32, 32)).shape == (1, 7)
