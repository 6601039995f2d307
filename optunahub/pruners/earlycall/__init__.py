from earlycall.integrations.optuna import EarlyCallPruner


__all__ = ["EarlyCallPruner"]
