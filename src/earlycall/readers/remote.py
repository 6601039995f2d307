"""Runs on a server: W&B's API, an MLflow server, an Optuna database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from earlycall.errors import InputError
from earlycall.extras import needed_for
from earlycall.readers.address import Address
from earlycall.readers.base.growing import State
from earlycall.readers.base.log import Log, settings, table_of, table_of_numbers, timestamp_of


class Server:
    """Reads the runs at an address.

    Args:
        address: ``wandb://ENTITY/PROJECT``, ``http://…`` (MLflow) or ``postgresql://…`` (Optuna).

    Raises:
        InputError: if it is none of these.
    """

    NAME = "server"

    def __init__(self, address: str) -> None:
        found = Address.of(address)
        if found is None:
            raise InputError(f"{address!r} is not an address")
        self._address = found

    def parts(self, path: Path, state: State) -> Iterator[Log]:
        """All runs there.

        Raises:
            InputError: if it cannot be reached, or the package that speaks to it is not installed.
        """
        if self._address.scheme == "wandb":
            yield _wandb(self._address.rest)
        elif self._address.is_web:
            yield _mlflow(self._address.full)
        else:
            yield _optuna(self._address)


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


def _optuna(address: Address) -> Log:
    from earlycall.readers.formats import optuna

    with needed_for(address.shown, "optuna"):
        from optuna.storages import RDBStorage
        from optuna.study import StudyDirection
        from optuna.trial import TrialState
    trials = []
    try:
        storage = RDBStorage(address.full, skip_table_creation=True)  # a reader changes nothing
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
        raise InputError(f"{address.shown}: no Optuna storage: {_first_line(error)}") from None
    return optuna.tables(address.shown, trials)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
