"""Adapters for the loops and tuners that people run, each with the conventions of its host.

- `earlycall.integrations.lightning`: `EarlyCall`, a callback of PyTorch Lightning.
- `earlycall.integrations.transformers`: `EarlyCallCallback`, for its trainer.
- `earlycall.integrations.keras`: `EarlyCall`, a callback of Keras 3.
- `earlycall.integrations.optuna`: `EarlyCallPruner`.
- `earlycall.integrations.ray`: `EarlyCallStopper` and `EarlyCallScheduler` for Ray Tune.
- `earlycall.integrations.trackers`: verdicts and pictures in MLflow, TensorBoard and W&B.
"""
