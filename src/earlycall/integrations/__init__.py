"""Adapters for the loops and tuners that people run, each with the conventions of its host.

- `earlycall.integrations.lightning`: `EarlyCall`, a callback of PyTorch Lightning.
- `earlycall.integrations.transformers`: `EarlyCallCallback`, for its trainer.
- `earlycall.integrations.keras`: `EarlyCall`, a callback of Keras 3.
- `earlycall.integrations.xgboost`, `…lightgbm`, `…skorch`, `…ignite`: `EarlyCall` for each.
- `earlycall.integrations.optuna`: `EarlyCallPruner`.
- `earlycall.integrations.optuna_terminator`: `EarlyCallTerminator`, which ends a study.
- `earlycall.integrations.ray`: `EarlyCallStopper` and `EarlyCallScheduler` for Ray Tune.
- `earlycall.integrations.ray_terminator`: `EarlyCallTerminator`, which ends an experiment.
- `earlycall.integrations.trackers`: verdicts and pictures in MLflow, TensorBoard and W&B.
"""
