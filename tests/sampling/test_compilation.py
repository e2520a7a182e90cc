"""One compilation serves every structure, K, D and N: counted, not timed."""

from contextlib import contextmanager

import numpy as np
import pytest
from numba.core import event

from bayesgmm import InverseGammaScale, Priors, load_dataset, sample_posterior
from bayesgmm.mixture import COVARIANCE_TYPES


class Counter(event.Listener):
    """Counts the functions that numba compiles."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, event: event.Event) -> None:
        self.names.append(str(event.data["dispatcher"]))

    def on_end(self, event: event.Event) -> None:
        pass


@contextmanager
def counted():
    counter = Counter()
    with event.install_listener("numba:compile", counter):
        yield counter


def sample(data, k: int, name: str, priors: Priors | None = None) -> None:
    sample_posterior(data, k, name, priors, draws=30, tune=30, chains=2, random_seed=0, progressbar=False)


def test_the_counter_counts() -> None:
    from numba import njit

    with counted() as counter:
        njit(lambda x: x + 1)(1.0)
    assert counter.names


def test_changing_structure_k_d_n_and_priors_compiles_nothing() -> None:
    df = load_dataset("faithful")
    for name in COVARIANCE_TYPES:  # whatever is not on disk yet is compiled here
        sample(df, 2, name)
    iris = load_dataset("iris").drop(columns="species")
    with counted() as counter:
        for name in COVARIANCE_TYPES:
            sample(df, 3, name)
            sample(iris, 2, name)
            sample(df.iloc[:100, :1], 1, name)
        sample(df, 2, "full", Priors(scale=InverseGammaScale(hyper=(0.5, 1.0))))
    assert counter.names == []


@pytest.mark.parametrize("name", COVARIANCE_TYPES)
def test_pointer_route_gives_the_same_density(name: str) -> None:
    """The function that nutpie calls by address against `Target`, value and gradient."""
    import ctypes

    from bayesgmm.posterior.target import Target
    from bayesgmm.sampling.samplers.whitened import WhitenedModel, _log_density

    density = Target.of(load_dataset("iris").drop(columns="species"), 3, name)
    rng = np.random.default_rng(0)
    centre, u = 0.3 * rng.normal(size=(2, density.size))
    spread = np.tril(0.1 * rng.normal(size=(density.size, density.size))) + np.eye(density.size)
    model = WhitenedModel(dims=None, target=density, centre=centre, spread=spread, start=u[None])
    record, arrays = model._record()
    gradient, value = np.empty(density.size), np.empty(1)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)(_log_density.address)
    code = call(density.size, u.ctypes.data, gradient.ctypes.data, value.ctypes.data, record.ctypes.data)
    assert code == 0
    assert len(arrays) == 5
    expected, slope = density(centre + spread @ u)
    assert value[0] == pytest.approx(expected, rel=1e-12)
    assert np.allclose(gradient, spread.T @ slope, rtol=1e-9)
