"""The JAX implementation of the Ops, registered once a graph is prepared for JAX: JAX takes seconds to import."""

from __future__ import annotations

from typing import Any

from pytensor.compile import optdb
from pytensor.graph.basic import Apply
from pytensor.graph.rewriting.basic import dfs_rewriter, node_rewriter

from .grouped_op import SeenGradient, SeenLogLikelihood
from .pytensor_op import MarginalLogLikelihood, PointwiseLogLikelihood

__all__: list[str] = []


@node_rewriter([MarginalLogLikelihood, PointwiseLogLikelihood, SeenLogLikelihood, SeenGradient])
def _load_jax_twin(fgraph: Any, node: Apply) -> None:
    """Registers the JAX implementation once a graph is prepared for JAX; JAX takes seconds to import."""
    from . import jax_op  # noqa: F401


optdb.register("bayesgmm_load_jax", dfs_rewriter(_load_jax_twin), "jax", position=99)
