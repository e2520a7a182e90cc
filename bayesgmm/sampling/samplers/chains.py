"""Running chains: each is a task of its own, whatever model it belongs to, and tasks share the cores.

A sweep over K is one list of tasks. Every chain has its own seed, start and coordinates, so that the draws do not
depend on how many run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...mixture import single_threaded_blas
from ...posterior import Target
from ...progress import progress_display
from ..draws import Draws
from ..starts import Start

__all__ = ["Chain", "Result", "gather", "run_chains"]

Array = NDArray[np.float64]
# Unconstrained draws (draw, P) and statistics (draw,).
Result = tuple[Array, dict[str, NDArray]]
_POLL_SECONDS = 0.004
# nutpie's names to the schema's.
_STATS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "n_steps": "n_steps",
    "depth": "tree_depth",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
    "maxdepth_reached": "reached_max_treedepth",
}


@dataclass(frozen=True)
class Chain:
    """One chain to run.

    Attributes
    ----------
    target : Target
    at : Start
        Where it starts, and its seed.
    draws, tune : int
    target_accept : float
    label : str
        The model it belongs to, for the progress display.
    """

    target: Target
    at: Start
    draws: int
    tune: int
    target_accept: float
    label: str

    def _model(self) -> Any:
        from .whitened import WhitenedModel

        mode, start = self.at.mode, self.at.offset[None]
        return WhitenedModel(dims=None, target=self.target, centre=mode.point, spread=mode.spread, start=start)

    def launch(self) -> Any:
        """Start it in the background."""
        import nutpie

        return nutpie.sample(
            self._model(),
            draws=self.draws,
            tune=self.tune,
            chains=1,
            cores=1,
            seed=self.at.seed,
            adaptation="low_rank",
            target_accept=self.target_accept,
            save_warmup=False,
            return_raw_trace=True,
            progress_bar=False,
            blocking=False,
        )

    def collect(self, trace: Any) -> Result:
        """Unconstrained draws (draw, P) and statistics (draw,) of a chain, from nutpie's Arrow batches."""
        (drawn,), (stats,) = trace.get_arrow_trace()
        kept = ~_column(stats, "tuning")
        u = _column(drawn, "u").reshape(len(kept), self.target.size)[kept]
        named = {ours: _column(stats, theirs)[kept] for theirs, ours in _STATS.items()}
        named = {k: v.astype(np.int64) if v.dtype.kind == "u" else v for k, v in named.items()}
        return self.at.mode.point + u @ self.at.mode.spread.T, named


def _column(batch: Any, name: str) -> NDArray:
    """A column of an Arrow batch without missing values, lists flattened."""
    import pyarrow

    column = pyarrow.array(batch.column(name))
    values: NDArray = (column.flatten() if hasattr(column, "flatten") else column).to_numpy(zero_copy_only=False)
    return values


def _is_finished(sampler: Any) -> bool:
    try:
        return bool(sampler.is_finished)
    except TimeoutError:  # nutpie's answer while the chain is busy starting
        return False


def run_chains(
    chains: Sequence[Chain],
    cores: int,
    progressbar: bool = True,
    finished: Callable[[str, list[Result]], None] | None = None,
) -> tuple[list[Result], bool]:
    """Run chains, ``cores`` at a time.

    Parameters
    ----------
    chains : sequence of Chain
    cores : int
    progressbar : bool
    finished : function of label and list of results, optional
        Called as soon as all chains of one label have run to their end, while others still run.

    Returns
    -------
    results : list of (unconstrained (draw, P), statistics), one per chain in order
        After an interrupt, chains hold the draws so far; those that had not begun hold none.
    interrupted : bool
    """
    results: dict[int, Result] = {}
    running: dict[int, Any] = {}
    waiting = list(range(len(chains)))[::-1]
    interrupted = False
    of_label: dict[str, list[int]] = {}
    for i, chain in enumerate(chains):
        of_label.setdefault(chain.label, []).append(i)
    with single_threaded_blas(), progress_display(progressbar) as progress:
        bars = {
            label: progress.add_task(f"sampling {label}", total=len(own), detail="") for label, own in of_label.items()
        }
        try:
            while waiting or running:
                while waiting and len(running) < cores:
                    i = waiting.pop()
                    running[i] = chains[i].launch()
                for i in [i for i, sampler in running.items() if _is_finished(sampler)]:
                    label = chains[i].label
                    results[i] = chains[i].collect(running.pop(i).wait())
                    progress.advance(bars[label])
                    if finished is not None and all(j in results for j in of_label[label]):
                        finished(label, [results[j] for j in of_label[label]])
                if running:
                    time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            # After an interrupt, or where `finished` failed.
            for i, sampler in running.items():
                results[i] = chains[i].collect(sampler.abort())
    none: Result = (np.empty((0, 0)), {})
    return [results.get(i, none) for i in range(len(chains))], interrupted


def gather(results: Sequence[Result], tune: int, interrupted: bool, sampler: str = "nutpie") -> Draws:
    """Chains of one model side by side, cut to the shortest that has any draws.

    Raises
    ------
    KeyboardInterrupt
        If an interrupt left not even four draws in any chain: there is nothing to return.
    """
    kept = [r for r in results if len(r[0]) >= 4]
    if not kept:
        raise KeyboardInterrupt("sampling was interrupted before any draw was made")
    n = min(len(u) for u, _ in kept)
    stats = {name: np.stack([s[name][:n] for _, s in kept]) for name in kept[0][1]}
    return Draws(np.stack([u[:n] for u, _ in kept]), stats, sampler, tune, interrupted)
