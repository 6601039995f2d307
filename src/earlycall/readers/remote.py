"""Runs on a server: W&B's API, an MLflow server, an Optuna database."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.curves.parquet import CURVES
from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log, settings, table_of, table_of_numbers, timestamp_of

# Paths lose a slash of the two where the command line makes a path of the address.
_ADDRESS = re.compile(
    r"^(wandb|https?|postgresql|mysql|s3a?|gs|gcs|az|abfss?|hf)(\+\w+)?:/{1,2}(.+)$", re.DOTALL
)


def is_address(path: object) -> bool:
    """Whether what is given as a path is an address.

    Examples:
        >>> is_address("wandb://team/project"), is_address("http:/127.0.0.1:5000")
        (True, True)
        >>> is_address("runs")
        False
    """
    return _ADDRESS.match(str(path)) is not None


def name_of(address: str | Path) -> str:
    """What is at an address is called by the last part of it.

    Examples:
        >>> name_of("s3://bucket/sets/digits/curves.parquet"), name_of("wandb://team/project")
        ('digits', 'project')
    """
    where = re.split("[?#]", str(address))[0].rstrip("/")
    return where.removesuffix(f"/{CURVES}").rpartition("/")[2]


class Server:
    """Reads the runs at an address.

    Args:
        address: ``wandb://ENTITY/PROJECT``, ``http://…`` (MLflow) or ``postgresql://…`` (Optuna).

    Raises:
        InputError: if it is none of these.
    """

    NAME = "server"

    def __init__(self, address: str) -> None:
        match = _ADDRESS.match(address)
        if match is None:
            raise InputError(f"{address!r} is not an address")
        self._kind, self._driver, self._rest = match.groups(default="")

    def parts(self, path: Path, state: State) -> Iterator[Log]:
        """All runs there.

        Raises:
            InputError: if it cannot be reached, or the package that speaks to it is not installed.
        """
        full = f"{self._kind}{self._driver}://{self._rest}"
        if self._kind not in ("wandb", "http", "https", "postgresql", "mysql"):
            raise InputError(f"{full}: no curve set there (curves.parquet); check the address")
        if self._kind == "wandb":
            yield _wandb(self._rest)
        else:
            yield _mlflow(full) if self._kind.startswith("http") else _optuna(full)


def _wandb(project: str) -> Log:
    from earlycall.readers.formats.wandb import started

    netrc = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not (os.environ.get("WANDB_API_KEY") or netrc.exists()):
        raise InputError(
            f"wandb://{project}: set WANDB_API_KEY, or read the local wandb/ folder instead"
        )
    with needed_for(f"wandb://{project}", "wandb"):
        import wandb
    rows: list[dict[str, Any]] = []
    runs = []
    try:
        for run in wandb.Api(timeout=30).runs(project):
            name = f"{run.name}-{run.id}"
            tags = {"tags": ", ".join(run.tags)} if run.tags else {}
            runs.append({"run": name} | settings(tags | dict(run.config)))
            for record in run.scan_history():
                if "started" not in runs[-1]:
                    runs[-1] |= started(record)
                row = {"run": name, "step": record.pop("_step", None)}
                row["seconds"] = record.pop("_runtime", None)
                rows.append(row | {k: v for k, v in record.items() if not k.startswith("_")})
    except Exception as error:  # wandb raises many kinds, of its own and of its transports
        raise InputError(f"wandb://{project}: {_first_line(error)}") from None
    if not rows:
        raise InputError(f"wandb://{project}: no run with a history")
    return Log(table_of_numbers(rows, text=["run"]), table_of(runs))


def _mlflow(address: str) -> Log:
    from earlycall.readers.formats import mlflow

    with needed_for(address, "mlflow"):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    runs, values = [], []
    try:
        client = MlflowClient(address)
        for experiment in _pages(client.search_experiments):
            for one in _pages(client.search_runs, [experiment.experiment_id]):
                info = one.info
                run = mlflow.Run(info.run_id, info.run_name, experiment.name, info.start_time)
                for key, value in (*one.data.params.items(), *one.data.tags.items()):
                    run.add_setting(key, value)
                runs.append(run)
                values += [
                    (info.run_id, m.step, name, m.value, m.timestamp)
                    for name in one.data.metrics
                    for m in client.get_metric_history(info.run_id, name)
                ]
    except (MlflowException, OSError) as error:
        raise InputError(f"{address}: not an MLflow server: {_first_line(error)}") from None
    return mlflow.tables(address, runs, pl.DataFrame(values, schema=mlflow.VALUES, orient="row"))


def _pages(search: Callable[..., Any], *arguments: Any) -> Iterator[Any]:
    """All that a search finds, page by page."""
    token = None
    while True:
        page = search(*arguments, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _optuna(address: str) -> Log:
    from earlycall.readers.formats import optuna

    hidden = re.sub(r"//[^@/]*@", "//…@", address)  # no password in a sentence
    with needed_for(hidden, "optuna"):
        from optuna.storages import RDBStorage
        from optuna.study import StudyDirection
        from optuna.trial import TrialState
    trials = []
    try:
        storage = RDBStorage(address, skip_table_creation=True)  # a reader changes nothing
        for study in storage.get_all_studies():
            up = study.directions[0] == StudyDirection.MAXIMIZE
            for one in storage.get_all_trials(study._study_id):
                trial = optuna.Trial(study.study_name, one.number, up)
                trial.values, trial.params = dict(one.intermediate_values), dict(one.params)
                trial.final = one.value if one.state == TrialState.COMPLETE else None
                trial.started = timestamp_of(one.datetime_start)
                trial.ended = timestamp_of(one.datetime_complete)
                trials.append(trial)
        storage.remove_session()
        storage.engine.dispose()  # connections that stay would keep the server from stopping
    except Exception as error:  # each database driver raises its own
        raise InputError(f"{hidden}: no Optuna storage: {_first_line(error)}") from None
    return optuna.tables(hidden, trials)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
