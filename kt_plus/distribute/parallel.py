"""Parallel search in one call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cloudpickle

from kt_plus.distribute.messages import Job
from kt_plus.distribute.processes import Machine, processors
from kt_plus.distribute.supervisor import Launcher, Limits, Supervisor
from kt_plus.distribute.template import shared
from kt_plus.distribute.tuner_function import make, reload_if_needed
from kt_plus.engine.process_identity import ProcessIdentity


def search(
    make_tuner: Callable[[], Any],
    workers: int | None = None,
    backend: str = "process",
    *,
    isolate: bool = False,
    timeout: float | None = None,
    max_restarts: int = 5,
    max_crashes_per_trial: int = 3,
    gpus: Sequence[int | str] | None = None,
    resources: Mapping[str, float] | None = None,
    address: str | None = None,
) -> Any:
    """Runs a search with several workers, and returns its finished tuner.

    When to use it: whenever trials may run side by side, on the processors or GPUs of one
    machine, or with Ray on a cluster; and with one worker and `isolate=True` where trials
    use so much memory that they must not share a process.

    A chief proposes trials and keeps the project, the workers train. All are processes of
    their own, in which `make_tuner` is called; this one only watches them, and calls it at
    the end, to return the tuner. A process that dies is started again, and its trial goes on
    from its last checkpoint. Ctrl-C ends all of them. In any case the same call made again
    resumes the search. Each process writes a log to `logs/` in the project directory.

    The protocol is Keras Tuner's own gRPC service, which has no authentication; it is bound
    to the loopback address unless you choose another.

    Args:
        make_tuner: Makes the tuner and the arguments of its `search`, data included:
            returns `(tuner, fit_kwargs)` such as `(tuner, {"x": x, "y": y, "epochs": 20})`,
            `(tuner, fit_args, fit_kwargs)`, or what a TFX `tuner_fn` returns. It may be
            defined in a notebook. `overwrite=True` counts once in a call.
        workers: How many trials run at a time; the number of GPUs by default, or else of
            processors.
        backend: `"process"` for processes of this machine, or `"ray"` for actors on the Ray
            cluster that is connected, or else on one started here.
        isolate: Whether each trial has a process of its own. All its memory is then returned
            (Keras keeps some of every model), for the time that it takes to start one.
        timeout: Seconds without a batch, epoch or trial after which a worker is taken to
            hang, and started again; `None` for no limit. `make_tuner`, and what the chief
            takes for a proposal, must be quicker. Where it hung stands in its log.
        max_restarts: How often in a row the chief, or a worker that gets nowhere, is started
            again.
        max_crashes_per_trial: A trial whose process has died so often in a row, without a
            new epoch, has failed, and the search goes on.
        gpus: The GPUs of this machine to share, one a worker in turn; all that CUDA shows by
            default.
        resources: What one worker needs of a Ray cluster: `{"num_cpus": 4, "num_gpus": 1}`.
        address: The address that the chief listens on, 127.0.0.1 by default; on a Ray cluster
            of several nodes `"auto"` is that of the chief's node.

    Returns:
        The tuner that `make_tuner` makes, with the finished search reloaded.

    Raises:
        ValueError: If an argument has an impossible value.
        ParallelSearchError: If the processes cannot be kept running.
        ProjectInUseError: If another search runs in the project.
        Exception: What ended the search, as it was raised in the chief or in a worker, with
            the traceback from there as its cause.

    Example:

    ```python
    def make_tuner():
        (x, y), _ = keras.datasets.mnist.load_data()
        tuner = kt_plus.EvolutionarySearch(build_model, "val_accuracy", max_trials=50)
        return tuner, {"x": x, "y": y, "epochs": 5, "validation_split": 0.2}

    tuner = kt_plus.distribute.search(make_tuner, workers=4)
    best_model = tuner.get_best_models()[0]
    ```
    """
    _check(make_tuner, workers, backend, timeout, max_restarts, max_crashes_per_trial)
    machine = Machine(workers or 1, gpus)
    count = workers or len(machine.gpus) or processors()
    launcher: Launcher = machine
    if backend == "ray":
        from kt_plus.distribute.ray_cluster import Cluster

        launcher = Cluster(resources)
    elif resources is not None:
        raise ValueError('resources= is for backend="ray"; here each worker has its share.')
    machine.workers = count
    job = Job(
        name="",
        make_tuner=_pickled(make_tuner),
        sys_path=list(sys.path),
        argv=list(sys.argv),
        folder=os.getcwd(),
        workers=tuple(f"worker{i}" for i in range(count)),
        address=address or launcher.address,
        overwrite=True,
        one_trial=isolate,
        caller=ProcessIdentity.current(),
    )
    with shared():
        Supervisor(launcher, job, Limits(timeout, max_restarts, max_crashes_per_trial)).run()
    tuner, _, _ = make(make_tuner, overwrite=False)
    reload_if_needed(tuner)
    return tuner


def _check(
    make_tuner: Any,
    workers: int | None,
    backend: str,
    timeout: float | None,
    max_restarts: int,
    max_crashes_per_trial: int,
) -> None:
    if not callable(make_tuner):
        raise ValueError(
            f"make_tuner={make_tuner!r} was given. Expected a function without arguments that "
            "returns (tuner, fit_kwargs): each process makes its own tuner with it."
        )
    if backend not in ("process", "ray"):
        raise ValueError(f'backend={backend!r} was given. Expected "process" or "ray".')
    for name, value, least in (
        ("workers", workers, 1),
        ("max_restarts", max_restarts, 0),
        ("max_crashes_per_trial", max_crashes_per_trial, 1),
    ):
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        if not whole and not (name == "workers" and value is None):
            raise ValueError(
                f"{name}={value!r} was given. Expected a whole number of at least {least}."
            )
    if timeout is not None and not timeout > 0:
        raise ValueError(f"timeout={timeout!r} was given. Expected seconds above 0, or None.")
    if "KERASTUNER_ORACLE_IP" in os.environ:
        raise RuntimeError(
            "KERASTUNER_ORACLE_IP is set, so that this process is itself a chief or worker. "
            "Unset the KERASTUNER_* variables: search() starts chief and workers itself."
        )


def _pickled(make_tuner: Callable[[], Any]) -> bytes:
    try:
        return cloudpickle.dumps(make_tuner)
    except Exception as error:
        raise ValueError(
            f"make_tuner cannot be sent to other processes: {type(error).__name__}: {error}. "
            "Make what cannot be pickled (open files, locks, sessions) inside the function."
        ) from error
