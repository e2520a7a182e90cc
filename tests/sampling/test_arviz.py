"""The ArviZ functions that a reader will reach for run on the trees, whichever sampler made them."""

from importlib.util import find_spec

import matplotlib as mpl
import pytest

from bayesgmm import load_dataset, sample_posterior

mpl.use("Agg")

SAMPLERS = ["nutpie", "pymc", "numpyro"]


@pytest.fixture(scope="module", params=SAMPLERS)
def tree(request):
    if request.param == "numpyro" and find_spec("numpyro") is None:
        pytest.skip("numpyro is not installed (it is in the dependency group test)")
    return sample_posterior(
        # One feature: no covariances that are zero by construction, whose R-hat is not defined.
        load_dataset("faithful")[["waiting"]].iloc[::2],
        2,
        "spherical",
        sampler=request.param,
        draws=120,
        tune=150,
        chains=2,
        random_seed=0,
        progressbar=False,
        predictive=True,
    )


@pytest.fixture(autouse=True)
def _closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def test_numbers(tree) -> None:
    import arviz as az

    summary = az.summary(tree, var_names=["weights", "means"], round_to="none")
    assert summary.loc["means[0, waiting]", "mean"] == pytest.approx(80, abs=3)
    loo = az.loo(tree)
    assert loo.elpd < 0
    assert list(az.compare({"a": loo, "b": az.loo(tree)}).index) in (["a", "b"], ["b", "a"])
    assert az.psense_summary(tree, var_names=["weights"]).shape[0] == 2
    az.diagnose(tree)


@pytest.mark.filterwarnings("ignore:The figure layout has changed to tight:UserWarning")
def test_plots(tree) -> None:
    import arviz as az

    az.plot_trace_dist(tree, var_names=["weights"])
    az.plot_forest(tree, var_names=["means"])
    az.plot_rank(tree, var_names=["weights"])
    az.plot_pair(tree, var_names=["weights"])
    az.plot_ppc_dist(tree)
    loo = az.loo(tree, pointwise=True)
    az.plot_khat(loo)
    az.plot_compare(az.compare({"a": loo, "b": az.loo(tree)}))
