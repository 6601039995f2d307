"""A predictor in a file, without pickle: JSON for the facts, skops for the models.

The file is a ZIP archive of ``predictor.json`` and ``regressor.skops``. skops builds only the types
listed below; a file with any other is refused before anything of it is built. The trees' arrays
are checked, too, since scikit-learn follows them without bounds.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from earlycall.atomic import write_whole
from earlycall.errors import InputError
from earlycall.extras import needed_for

FORMAT = 3
FACTS, MODELS = "predictor.json", "regressor.skops"
MAX_UNPACKED_BYTES = 500_000_000
_TRUSTED = (
    "earlycall.nas.kernels.OnColumns",
    "earlycall.nas.models.ChosenRegressor",
    "earlycall.nas.models.CrossValidation",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.tree._tree.Tree",
)


def save(predictor: Any, path: str | Path) -> Path:
    """Write a fitted `Predictor` to a file, whole or not at all.

    Raises:
        InputError: if the file cannot be written.
    """
    with needed_for("a saved predictor", "nas"):
        import skops.io

    facts = {
        "format": FORMAT,
        "target": predictor.target_,
        "model": predictor.model,
        "random_state": predictor.random_state,
        "quality": asdict(predictor.quality_),
        "errors": predictor.errors_.tolist(),
        "known": asdict(predictor.known_),
        "names": predictor.features_.names_,
        "medians": predictor.features_.medians_.tolist(),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        archive.writestr(FACTS, json.dumps(facts, indent=1))
        archive.writestr(MODELS, skops.io.dumps(predictor.regressor_))
    return write_whole(path, content.getvalue())


def load(path: str | Path) -> Any:
    """Read a `Predictor` that `save` wrote; nothing in the file is executed.

    Raises:
        InputError: if it is not such a file, is damaged, or holds an unexpected type.

    Examples:
        >>> from tempfile import TemporaryDirectory
        >>> from earlycall.nas.predictor import Predictor
        >>> rows = [{"arch.params": 10.0**i} for i in range(8)]
        >>> predictor = Predictor("ridge").fit(rows, [float(i) for i in range(8)])
        >>> with TemporaryDirectory() as folder:
        ...     again = load(save(predictor, Path(folder, "model")))
        >>> bool((again.predict(rows) == predictor.predict(rows)).all())
        True
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > MAX_UNPACKED_BYTES:
                raise InputError(
                    f"{path}: unpacks to more than {MAX_UNPACKED_BYTES // 10**6} MB; refused"
                )
            facts, models = json.loads(archive.read(FACTS)), archive.read(MODELS)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (KeyError, ValueError, zipfile.BadZipFile, RecursionError):
        raise InputError(
            f"{path}: not a model that 'earlycall nas fit' wrote; fit one with -o {path.name}"
        ) from None
    version = facts.get("format") if isinstance(facts, dict) else None
    if version != FORMAT:
        raise InputError(
            f"{path}: a model of format {version!r}, this version reads {FORMAT}; fit it again"
        )
    try:
        return _predictor(facts, _regressor(path, models))
    except InputError:
        raise
    except Exception as error:  # a damaged file can fail anywhere inside skops and scikit-learn
        raise InputError(f"{path}: a damaged model file ({error!r:.80}); fit it again") from None


def _regressor(path: Path, models: bytes) -> Any:
    with needed_for("a saved predictor", "nas"):
        import skops.io

    from earlycall.nas.models import ChosenRegressor

    unknown = set(skops.io.get_untrusted_types(data=models)) - set(_TRUSTED)
    if unknown:
        raise InputError(
            f"{path}: refused, since it holds {sorted(unknown)[0]!r}, which no model of "
            "earlycall has; use only files that you trust, or fit it again"
        )
    regressor = skops.io.loads(models, trusted=list(_TRUSTED))
    if not isinstance(regressor, ChosenRegressor) or not _is_sound(regressor):
        raise ValueError("no sound regressor inside")
    return regressor


def _is_sound(regressor: Any) -> bool:
    """Whether every tree refers only to nodes and features that exist."""
    for estimator in np.ravel(getattr(regressor.regressor_, "estimators_", ())):
        tree = estimator.tree_
        inner = tree.children_left >= 0
        children = np.concatenate([tree.children_left[inner], tree.children_right[inner]])
        own = np.tile(np.flatnonzero(inner), 2)
        if not (
            tree.n_features == regressor.n_features_in_
            and (children > own).all()
            and (children < tree.node_count).all()
            and (tree.feature[inner] >= 0).all()
            and (tree.feature[inner] < tree.n_features).all()
        ):
            return False
    return True


def _predictor(facts: dict[str, Any], regressor: Any) -> Any:
    from earlycall.nas.features import ArchitectureFeatures
    from earlycall.nas.known import Known
    from earlycall.nas.predictor import Predictor, Quality

    predictor = Predictor(facts["model"], int(facts["random_state"]))
    predictor.target_ = str(facts["target"])
    predictor.features_ = ArchitectureFeatures()
    predictor.features_.names_ = [str(name) for name in facts["names"]]
    predictor.features_.medians_ = np.asarray(facts["medians"], dtype=np.float64)
    predictor.known_ = Known(**facts["known"])
    lengths = {len(predictor.features_.names_), len(predictor.features_.medians_)}
    lengths |= {len(predictor.known_.slope)} if predictor.known_.level else set()
    if lengths != {regressor.n_features_in_}:
        raise ValueError("names and models do not fit together")
    predictor.regressor_ = regressor
    predictor.errors_ = np.asarray(facts["errors"], dtype=np.float64)
    predictor.quality_ = Quality(**facts["quality"])
    return predictor
