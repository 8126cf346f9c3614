"""smarm as a backend of joblib: ``register_smarm()``, then ``joblib.parallel_config(backend="smarm")``."""

from __future__ import annotations

from typing import Any

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase, SequentialBackend, register_parallel_backend

from smarm import _config, _core
from smarm.work import functions, slots
from smarm.work.executor import Executor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from smarm.work.pool import Place


def register_smarm(name: str = "smarm", *, make_default: bool = False) -> None:
    """Make ``backend="smarm"`` known to joblib, also as its default.

    ``joblib.parallel_config(backend="smarm", placement="main")`` passes the placement of the Executor on: modules that refuse
    the workers' interpreters run on the main lane.
    """
    register_parallel_backend(name, SmarmBackend, make_default=make_default)


class SmarmBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the calls of one ``joblib.Parallel`` in an Executor."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    MIN_IDEAL_BATCH_DURATION = 0.002  # seconds; joblib's own is for processes
    MAX_IDEAL_BATCH_DURATION = 0.05

    def __init__(self, nesting_level: int | None = None, placement: Place = None, **options: Any) -> None:
        super().__init__(nesting_level=nesting_level, **options)
        self._placement = placement
        self._executor: Executor | None = None
        self._number = 1

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many calls run at a time: -1 is one per worker, -2 one less, None joblib's own default."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        count = _core._worker_count() or _config._available_cpus()
        return max(count + 1 + n_jobs, 1) if n_jobs < 0 else n_jobs

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **_: Any,
    ) -> int:
        """Begin a ``Parallel``; return how many calls will run at a time."""
        self.parallel = parallel
        self._number = self.effective_n_jobs(n_jobs)
        self._executor = Executor(self._number, placement=self._placement)
        return self._number

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], object] | None = None) -> Future[Any]:
        """Run a batch of calls."""
        assert self._executor is not None, "joblib configures a backend before it is used"
        if self._placement == "main":
            future = self._executor.submit(func)  # which knows its nested backend
        else:
            calls = [(functions.pack(function), args, kwargs) for function, args, kwargs in func.items]  # type: ignore[attr-defined]
            future = self._executor.submit(slots.run_calls, calls)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what a batch has returned, or raise what it raised."""
        return out.result()

    def terminate(self) -> None:
        """End: the ``Parallel`` has all that it needs."""
        if self._executor is not None:
            self._executor._pool.close(cancels=True, kills=True)
            self._executor = None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End what runs; a call has failed."""
        self.terminate()
        if ensure_ready:
            self.configure(self._number, self.parallel)

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Calls of ``Parallel`` within a call run there, one after the other: all workers have work."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None
