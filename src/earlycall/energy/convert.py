"""Logs of any kind, with the joules that power logs beside them know of, as one curve set."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from earlycall.curves import CurveSet
from earlycall.curves.columns import direction, training_loss
from earlycall.energy.join import with_energy
from earlycall.errors import CurveWarning, InputError

if TYPE_CHECKING:
    from earlycall.energy.join import Paths


def convert(
    paths: Paths,
    to: str | Path,
    *,
    metric: str | None = None,
    pattern: str | None = None,
    overwrite: bool = False,
    power: Paths | None = None,
    price: float | None = None,
    power_offset: float | None = None,
    zone: str | None = None,
) -> CurveSet:
    """Write logs of any kind as a curve set.

    The training loss becomes ``train_loss``; other metrics, hyper-parameters and costs keep the
    names that the logs gave them. Where several metrics could be the training loss, none is
    renamed.

    Args:
        paths: as in `earlycall.read`.
        to: the folder to write.
        metric: the training loss, where its name does not tell.
        pattern: as in `earlycall.read`.
        overwrite: replace a curve set that is there.
        power: as in `with_energy`.
        price: as in `with_energy`.
        power_offset: as in `with_energy`.
        zone: as in `with_energy`.

    Raises:
        InputError: if the logs cannot be read, the folder has other files or is not to be
            overwritten, or there is no such metric.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from earlycall.demo import FOLDER
        >>> with TemporaryDirectory() as folder:
        ...     curves = convert(FOLDER, Path(folder, "study"))
        ...     sorted(path.name for path in Path(folder, "study").iterdir()), len(curves)
        (['curves.parquet', 'runs.parquet'], 16)
    """
    sources = [paths] if isinstance(paths, str | Path) else list(paths)
    folder = Path(to)
    _must_be_free(folder, [Path(path) for path in sources], overwrite=overwrite)
    joined = with_energy(
        sources, power=power, price=price, power_offset=power_offset, zone=zone, pattern=pattern
    )
    for note in joined.notes:
        warnings.warn(note, CurveWarning, stacklevel=2)
    curves = _with_train_loss(joined.curves, metric)
    curves.write(folder)
    return curves


def _with_train_loss(curves: CurveSet, wanted: str | None) -> CurveSet:
    """The set with its training loss under the name that curve sets give it."""
    loss = training_loss(curves.metrics)[0] if wanted is None else curves.metric(wanted)
    if loss is None or loss == "train_loss":
        return curves
    if direction(loss) == "max":
        raise InputError(f"more of {loss!r} is better, so it is no training loss; name a loss")
    if "train_loss" in curves.metrics:
        raise InputError(
            f"{wanted!r} cannot become train_loss: the logs have another metric of that name"
        )
    warnings.warn(f"{loss!r} is written as train_loss", CurveWarning, stacklevel=3)
    return replace(curves, observations=curves.observations.rename({loss: "train_loss"}))


def _must_be_free(folder: Path, sources: list[Path], *, overwrite: bool) -> None:
    """Refuse to write where something would be lost or hidden."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder for the curve set")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if not there:
        return
    if folder.resolve() in {path.resolve() for path in sources} and "curves.parquet" not in there:
        raise InputError(f"{folder}: a curve set there would hide its logs; write it elsewhere")
    if not overwrite:
        raise InputError(f"{folder} is not empty; name another folder, or replace the curve set "
                         "there with --overwrite")  # fmt: skip
