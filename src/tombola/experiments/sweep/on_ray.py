"""The engine on Ray: each run is a task that is begun again when its process or its machine dies.

Imported only when it is used: ray is an extra.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tombola.data.locate import VARIABLE
from tombola.errors import RunError, describe
from tombola.experiments.config import RunConfig
from tombola.experiments.interrupt import Interrupt
from tombola.experiments.sweep.engine import Event
from tombola.experiments.sweep.file import Resources, SweepRun
from tombola.experiments.sweep.ray_connection import connected, quiet

if TYPE_CHECKING:
    from tombola.experiments.sweep.attempt import Attempt

# Seconds for which the process that a dead machine has left behind may hold the folder of its run.
PATIENCE = 60.0
_TICK = 0.5
_CANCEL_EVERY = 2.0


class OnRay:
    """Runs as tasks of Ray: on a cluster at `address`, or else on this machine alone.

    What Ray has to say goes to `log`.
    """

    def __init__(self, resources: Resources, address: str | None, log: Path) -> None:
        self.resources, self.address, self.log = resources, address, log
        self.on_this_machine = address is None
        self.title = f"with Ray at {address}" if address else "with Ray on this machine"

    def run(self, runs: Sequence[SweepRun], interrupt: Interrupt) -> Generator[Event, None, None]:
        """Run them all, as many at a time as fit.

        Raises RunError where no cluster can be reached, or none of its machines can hold one run.
        """
        with ExitStack() as stack:
            stack.enter_context(quiet(self.log))
            try:
                stack.enter_context(connected(self.address))
            except SystemExit:  # Ray's answer to a SIGTERM that comes while it starts
                signal.raise_signal(signal.SIGTERM)
                return
            self._check_fits()
            if interrupt.status is None:
                yield from self._events(runs, interrupt)

    def _submitter(self) -> Callable[[SweepRun], Any]:
        """What hands a run to Ray: it returns the reference to what is going to come of it."""
        import ray

        task = ray.remote(_task).options(
            num_cpus=self.resources.cpus,
            num_gpus=self.resources.gpus,
            max_retries=self.resources.retries,
            retry_exceptions=False,  # a run that raised would raise again
        )
        data = os.environ.get(VARIABLE)
        environment = {VARIABLE: str(Path(data).absolute())} if data else {}
        return lambda run: task.remote(run.config, str(Path.cwd()), environment)

    def _events(self, runs: Sequence[SweepRun], interrupt: Interrupt) -> Generator[Event, None, None]:
        import ray

        from tombola.experiments.sweep.attempt import Attempt

        starts = {run.name: _Start(run) for run in runs}
        submit = self._submitter()
        waiting = {submit(run): run for run in runs}
        begun: set[str] = set()
        stops: Counter[str] = Counter()
        cancelled = 0.0
        while waiting:
            ready, _ = ray.wait(list(waiting), timeout=_TICK)
            if interrupt.status is not None and time.monotonic() > cancelled + _CANCEL_EVERY:
                # In the task, this is what Ctrl-C is to a process: the run writes its checkpoint.
                for reference in waiting:
                    ray.cancel(reference, force=False, recursive=False)
                cancelled = time.monotonic()
            for run in waiting.values():
                if run.name not in begun and starts[run.name].happened():
                    begun.add(run.name)
                    yield run, None
            for reference in ready:
                run = waiting.pop(reference)
                attempt = self._outcome(reference)
                if attempt.state == "stopped" and interrupt.status is None:
                    # Its machine, not the sweep, was told to stop: the run goes on elsewhere.
                    stops[run.name] += 1
                    if stops[run.name] <= self.resources.retries:
                        waiting[submit(run)] = run
                        continue
                    attempt = Attempt(error=f"its process was stopped by a signal, {stops[run.name]} times")
                if attempt.state != "stopped" or run.name in begun:
                    yield run, attempt

    def _outcome(self, reference: Any) -> Attempt:
        import ray

        from tombola.experiments.sweep.attempt import Attempt

        try:
            attempt: Attempt = ray.get(reference)
        except ray.exceptions.TaskCancelledError:
            return Attempt()
        except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError) as error:
            times = self.resources.retries + 1
            return Attempt(error=f"its process or machine died, {times} times ({type(error).__name__})")
        except ray.exceptions.RayTaskError as error:  # a worker without the package
            return Attempt(error=describe(error.cause))
        except Exception as error:  # out of memory, and whatever else Ray may have
            return Attempt(error=describe(error))
        return attempt

    def _check_fits(self) -> None:
        """A task that fits nowhere would wait for ever."""
        import ray

        asked = {"CPU": self.resources.cpus, "GPU": self.resources.gpus}
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        if not any(all(has.get(kind, 0) >= asked[kind] for kind in asked) for has in machines):
            most = {kind: max((has.get(kind, 0) for has in machines), default=0) for kind in asked}
            raise RunError(
                f"a run takes {asked['CPU']:g} CPUs and {asked['GPU']:g} GPUs, and no machine of Ray's has "
                f"so many (at most {most['CPU']:g} and {most['GPU']:g})"
            )


class _Start:
    """Whether a run has begun: its log has grown."""

    def __init__(self, run: SweepRun) -> None:
        from tombola.experiments.sweep.attempt import LOG

        assert run.config.out is not None
        self._log = run.config.out / LOG
        self._before = self._size()

    def happened(self) -> bool:
        return self._size() > self._before

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0


def _task(config: RunConfig, folder: str, environment: Mapping[str, str]) -> Attempt:
    """What a worker does: one run, in the working directory of whoever typed the command."""
    for name, value in {"OMP_WAIT_POLICY": "passive", **environment}.items():
        os.environ.setdefault(name, value)  # before torch is imported
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Inherited from a shell that runs the sweep in the background; Ray cancels by SIGINT alone.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if Path(folder).is_dir():
        os.chdir(folder)
    from tombola.experiments.sweep.attempt import attempt

    return attempt(config, patience=PATIENCE)
