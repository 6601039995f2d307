"""Two workers of whom rank 0 wants to stop at 5 and rank 1 at 50; print where each did."""

import multiprocessing
import sys

import numpy as np


def boost(rank, address):
    import xgboost
    from xgboost import collective

    from earlycall.integrations.xgboost import EarlyCall

    with collective.CommunicatorContext(**address):
        rank = collective.get_rank()
        x = np.random.default_rng(rank).normal(size=(100, 3))
        data = xgboost.DMatrix(x, label=x.sum(axis=1))
        early = EarlyCall("train/rmse", "budget:5" if rank == 0 else "budget:50", verbose=False)
        booster = xgboost.train({"nthread": 1}, data, 20, evals=[(data, "train")],
                                verbose_eval=False, callbacks=[early])  # fmt: skip
        print(f"rank {rank} ended at {booster.num_boosted_rounds()}", flush=True)


def fit(rank):
    import ignite.distributed as idist
    from ignite.engine import Engine, Events

    from earlycall.integrations.ignite import EarlyCall

    trainer = Engine(lambda engine, batch: 1.0)
    early = EarlyCall("loss", trainer, "budget:5" if rank == 0 else "budget:50", verbose=False)

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate():
        trainer.state.metrics["loss"] = 1 / trainer.state.epoch

    trainer.add_event_handler(Events.EPOCH_COMPLETED, early)
    trainer.run([0], max_epochs=20)
    print(f"rank {idist.get_rank()} ended at {trainer.state.epoch}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "xgboost":
        from xgboost.tracker import RabitTracker

        tracker = RabitTracker(n_workers=2, host_ip="127.0.0.1")
        tracker.start()
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=boost, args=(i, tracker.worker_args())) for i in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        sys.exit(any(worker.exitcode for worker in workers))
    import ignite.distributed as idist

    with idist.Parallel(backend="gloo", nproc_per_node=2) as parallel:
        parallel.run(fit)
