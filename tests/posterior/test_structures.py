"""The posterior of mclust's other structures: density, gradient, prior, PyMC model, evidence, symmetries.

A plain density is written out in NumPy and SciPy from the parts: volumes v_k ~ LogNormal(m, s / sqrt(D)), log contrasts of
shapes ~ Normal(0, s), correlations LKJ(eta) by their partial correlations, orientations Haar.
"""

from math import factorial, pi

import numpy as np
import pymc as pm
import pytest
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import beta, dirichlet, ks_2samp, multivariate_normal, norm, special_ortho_group

import bayesgmm as bg
from bayesgmm.mixture import structure_named, structures_named
from bayesgmm.mixture.rotation import coordinates_of, rotation_at
from bayesgmm.mixture.structure.parts import Orientations, contrasts
from bayesgmm.posterior.pymc_model import model_of, to_value_variables
from bayesgmm.posterior.target import Target
from bayesgmm.posterior.terms.orientations import OrientationsTerm

CURVED = [s.name for s in structures_named("all") if s.linear is not s]
TURNED = ["EEV", "VEV", "EVE", "VVE"]
K = 2


def target_of(name: str, d: int, about: bool = True) -> Target:
    rng = np.random.default_rng(d)
    rows = rng.normal(size=(40, d)) @ rng.normal(size=(d, d)) + 3 * rng.integers(2, size=(40, 1))
    target = Target.of(rows, K, name)
    if about and d > 1:
        axes = special_ortho_group.rvs(d, size=K, random_state=1)
        return Target(**{**target.__dict__, "reference": axes[: target.structure.parts(K, d)[-1].n_blocks]})
    return target


def plain(target: Target, x: np.ndarray) -> float:
    """Log density at ``x``, from the definition of each part."""
    d, priors = target.table.n_features, target.own_priors
    sizes = {part.name: (part.n_blocks, part.size) for part in target.coordinates.parts}
    edges = np.cumsum([K - 1, K * d, *(g * size for g, size in sizes.values())])
    y, means, *blocks = np.split(x, edges[:-1])
    blocks = {name: block.reshape(shape) for (name, shape), block in zip(sizes.items(), blocks, strict=True)}
    logits = np.append(y, -y.sum())
    log_weights = logits - logsumexp(logits)
    means = means.reshape(K, d)
    value = (
        dirichlet(np.full(K, priors.weight_concentration)).logpdf(np.exp(log_weights)) + np.log(K) + log_weights.sum()
    )
    value += norm(priors.mean_location, priors.mean_scale).logpdf(means).sum()
    s, m = priors.scale.sigma, -np.log(K) / d
    value += norm(m, s / np.sqrt(d)).logpdf(blocks["volume"]).sum() + norm(0, s).logpdf(blocks["shape"]).sum()
    sd = np.exp(blocks["volume"] + blocks["shape"] @ contrasts(d)) * np.ones((K, 1))
    pairs = [(i, j) for i in range(d) for j in range(i)]
    roots = []
    for k in range(K):
        root = np.diag(sd[k])
        if "correlations" in blocks:
            odds = blocks["correlations"][min(k, len(blocks["correlations"]) - 1)]
            rho = np.tanh(odds / 2)
            c = np.eye(d)
            for (i, j), r in zip(pairs, rho, strict=True):
                c[i, j] = r * np.sqrt(1 - c[i, :j] @ c[i, :j])
            for i in range(d):
                c[i, i] = np.sqrt(1 - c[i, :i] @ c[i, :i])
            root = root @ c
            if target.structure.name == "EVV":
                root *= (sd[k].prod() / np.linalg.det(root)) ** (1 / d)
        if "orientation" in blocks:
            g = min(k, len(blocks["orientation"]) - 1)
            skew = np.zeros((d, d))
            for (i, j), own in zip(pairs, blocks["orientation"][g], strict=True):
                skew[i, j], skew[j, i] = own, -own
            turn = (np.eye(d) - skew) @ np.linalg.inv(np.eye(d) + skew)
            root = (np.eye(d) if target.reference is None else target.reference[g]) @ turn @ root
        roots.append(root)
    if "correlations" in blocks:
        b = np.array([priors.correlation_eta + (d - 2 - j) / 2 for _, j in pairs])
        share = 1 / (1 + np.exp(-blocks["correlations"]))
        value += (beta(b, b).logpdf(share) + np.log(share * (1 - share))).sum()
    for block in blocks.get("orientation", ()):
        skew = np.zeros((d, d))
        skew[np.tril_indices(d, -1)] = block
        spheres = np.prod([2 * pi ** (q / 2) / gamma_of(q / 2) for q in range(2, d + 1)])
        value += np.log(2.0 ** len(pairs) / spheres) - (d - 1) * np.log(np.linalg.det(np.eye(d) + skew - skew.T))
    terms = [log_weights[k] + multivariate_normal(means[k], r @ r.T).logpdf(target.values) for k, r in enumerate(roots)]
    return float(value + logsumexp(np.array(terms), axis=0).sum())


def gamma_of(x: float) -> float:
    from scipy.special import gamma

    return float(gamma(x))


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("name", CURVED)
def test_density_and_gradient_equal_a_plain_one(name: str, d: int) -> None:
    target = target_of(name, d)
    for seed in range(2):
        x = 0.6 * np.random.default_rng(seed).normal(size=target.size)
        value, gradient = target(x)
        assert value == pytest.approx(plain(target, x), rel=1e-11)
        step = 1e-5
        numeric = [(plain(target, x + step * e) - plain(target, x - step * e)) / (2 * step) for e in np.eye(x.size)]
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CURVED)
def test_pymc_model_has_the_same_density_and_gradient(name: str) -> None:
    """The parts are variables of the model; about a reference and without one."""
    for d in (2, 3):
        target = target_of(name, d, about=d == 3)
        model = model_of(target)
        names = {variable.name for variable in model.free_RVs}
        assert {"standard_volumes", "shape_contrasts"} <= names
        assert ("rotation_coordinates" in names) == (name in TURNED)
        x = 0.5 * np.random.default_rng(2).normal(size=target.size)
        point = to_value_variables(model, target.coordinates, x)
        value = float(model.compile_logp(mode="FAST_COMPILE")(point))
        assert value == pytest.approx(target(x)[0] + target.log_jacobian, rel=1e-10)
        theirs = dict(
            zip(
                [v.name for v in model.value_vars],
                split(model, model.compile_dlogp(mode="FAST_COMPILE")(point)),
                strict=True,
            )
        )
        step = to_value_variables(model, target.coordinates, np.ones(target.size))
        ours = to_value_variables(model, target.coordinates, target(x)[1])
        for key, slope in theirs.items():
            # Value variables are multiples of the coordinates.
            np.testing.assert_allclose(slope * step[key] ** 2, np.asarray(ours[key]), rtol=1e-7, atol=1e-7)


def split(model: pm.Model, flat: np.ndarray) -> list[np.ndarray]:
    """A flat gradient by value variable."""
    shapes = [model.initial_point()[v.name].shape for v in model.value_vars]
    edges = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, edges[:-1]), shapes, strict=True)]


def test_haar_density_integrates_to_one() -> None:
    """D = 2: 1 / (pi (1 + s^2)), Cauchy. D = 3: of s = tan(angle / 2) axis, the angle has density (1 - cos angle) / pi."""
    two = OrientationsTerm(Orientations(("pair",), 1, 1, 2), 0)
    assert two.normaliser == pytest.approx(-np.log(pi))
    three = OrientationsTerm(Orientations(("pair",), 1, 3, 3), 0)
    # det(I + S) = 1 + |s|^2 in three dimensions.
    total, _ = quad(lambda r: 4 * pi * r**2 * np.exp(three.normaliser) * (1 + r**2) ** -2, 0, np.inf)
    assert total == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("d", [2, 3, 4])
def test_prior_draws_of_orientations_are_haar(d: int) -> None:
    """Moments of the entries and their distribution, against SciPy's Haar rotations; and PyMC's draws the same."""
    n = 3000
    term = OrientationsTerm(Orientations(("pair",), 1, d * (d - 1) // 2, d), 0)
    ours = rotation_at(term.draw(n, np.random.default_rng(0))["orientation"], d)
    found = [ours]
    if d == 3:
        model = model_of(target_of("VVE", d, about=False))
        found.append(rotation_at(pm.draw(model["rotation_coordinates"], n, random_seed=1), d))
    theirs = special_ortho_group.rvs(d, size=n, random_state=2)
    for rotations in found:
        np.testing.assert_allclose(np.linalg.det(rotations), 1.0, atol=1e-8)
        np.testing.assert_allclose(rotations.mean(0), 0.0, atol=5 / np.sqrt(n * d))
        np.testing.assert_allclose((rotations**2).mean(0), 1 / d, atol=5 * np.sqrt(0.5 / n))
        for i, j in ((0, 0), (d - 1, 0), (d - 1, d - 1)):
            assert ks_2samp(rotations[:, i, j], theirs[:, i, j]).pvalue > 1e-3


@pytest.mark.parametrize("name", CURVED)
def test_prior_draws_have_the_moments_of_the_terms(name: str) -> None:
    """Log volume and contrasts are normal with the moments stated."""
    target = target_of(name, 3)
    s = target.own_priors.scale.sigma
    for term in target.terms:
        found = term.draw(4000, np.random.default_rng(3)).get(term.name)
        if term.name == "volume":
            np.testing.assert_allclose(found.mean(0), -np.log(K) / 3, atol=0.03)
            np.testing.assert_allclose(found.std(0), s / np.sqrt(3), rtol=0.06)
        if term.name == "shape":
            np.testing.assert_allclose(found.mean(0), 0.0, atol=0.05)
            np.testing.assert_allclose(found.std(0), s, rtol=0.06)


def test_shared_nothing_has_the_prior_of_scales() -> None:
    """With K = 1 VEI is EEI and VEE is EEE: D independent log scales are their geometric mean and their contrasts.

    The mean of the logs is 1 / sqrt(D) of an orthonormal coordinate, so that densities in it are sqrt(D) times as high.
    """
    rows = np.random.default_rng(0).normal(size=(30, 3)) * [1.0, 2.0, 0.5]
    for name, same in (("VEI", "EEI"), ("EVI", "EEI"), ("VEE", "tied")):
        own, other = (Target.of(rows, 1, n) for n in (name, same))
        for seed in range(3):
            x = 0.5 * np.random.default_rng(seed).normal(size=own.size)
            m = own.mixtures(x[None])[0]
            y = other.coordinates.unconstrain(m.weights, m.means, m.dense_covariances)
            assert own(x)[0] == pytest.approx(other(y)[0] + 0.5 * np.log(3), abs=1e-8), name


@pytest.mark.parametrize("name", TURNED)
def test_axes_are_counted_and_named(name: str) -> None:
    """Of the D! 2^((D - 1) O) namings of the axes all give one density, and exactly one is canonical."""
    from itertools import permutations, product

    d, target = 3, target_of(name, 3)
    coordinates, structure = target.coordinates, target.structure
    x = target.in_region(0.4 * np.random.default_rng(5).normal(size=(1, target.size)), pivot_of(target))[0]
    values = coordinates.values(x)
    blocks = len(values["orientation"])
    found = []
    for order in permutations(range(d)):
        for signs in product([1.0, -1.0], repeat=blocks * d):
            turned = values["orientation"][..., list(order)] * np.reshape(signs, (blocks, 1, d))
            if np.allclose(np.linalg.det(turned), 1.0):
                parts = values | {"orientation": turned, "shape": values["shape"][..., list(order)]}
                own = [part.unconstrain(parts[part.name]) for part in coordinates.parts]
                found.append(np.concatenate([x[: K - 1 + K * d], *own]))
    found = np.array(found)
    assert len(found) == factorial(d) * 2 ** ((d - 1) * blocks) == round(np.exp(structure.log_symmetries(K, d)))
    dense = target.mixtures(found).dense_covariances
    np.testing.assert_allclose(dense, np.broadcast_to(dense[0], dense.shape), atol=1e-9)
    # The same posterior mass: densities of the covariances differ by the Jacobians of the charts, which are Haar's.
    haar = next(term for term in target.terms if term.name == "orientation")
    pairs = coordinates.where("orientation")
    levels = [
        target(point)[0] + (d - 1) * sum(log_det(block) for block in point[pairs].reshape(blocks, -1))
        for point in found
    ]
    np.testing.assert_allclose(levels, levels[0], rtol=1e-10)
    assert haar.part.n_blocks == blocks
    assert target.are_in_region(found, pivot_of(target)).sum() == 1
    np.testing.assert_allclose(target.in_region(found, pivot_of(target)), np.broadcast_to(x, found.shape), atol=1e-6)


def pivot_of(target: Target):
    """A mixture whose labels those of the point nearest to zero are."""
    return target.mixtures(0.4 * np.random.default_rng(5).normal(size=(1, target.size)))[0]


def log_det(block: np.ndarray) -> float:
    d = round(0.5 + (0.25 + 2 * block.size) ** 0.5)
    skew = np.zeros((d, d))
    skew[np.tril_indices(d, -1)] = block
    return float(np.log(np.linalg.det(np.eye(d) + skew - skew.T)))


def test_coordinates_about_a_reference_are_zero_there() -> None:
    axes = special_ortho_group.rvs(4, size=2, random_state=0)
    part = Orientations(("cluster", "pair"), 2, 6, 4).about(axes)
    np.testing.assert_allclose(part.unconstrain(axes), 0.0, atol=1e-12)
    np.testing.assert_allclose(part.constrain(np.zeros(12)), axes, atol=1e-12)
    np.testing.assert_allclose(coordinates_of(rotation_at(np.ones(6), 4)), 1.0)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    one = rng.multivariate_normal([0, 0], [[2, 1.2], [1.2, 1]], 80)
    return np.concatenate([one, rng.multivariate_normal([5, 0], [[1, -0.7], [-0.7, 2.0]], 70)])


@pytest.mark.parametrize("name", ["VEI", "VEE", "EEV", "VVE", "EVV"])
def test_sampled_through_every_door(rows, name: str) -> None:
    """Verdict, shared parts in every draw, memberships, contrast, the tree read back with the same coordinates."""
    from bayesgmm.sampling import Posterior

    post = bg.sample_posterior(rows, 2, name, random_seed=0, draws=500, progressbar=False)
    assert bg.diagnose(post).ok
    structure = structure_named(name)
    draws = post["posterior"]["covariances"].values.reshape(-1, 2, 2, 2)[::50]
    scaled = post["constant_data"]["scale"].values
    dense = draws / scaled[:, None] / scaled
    again = structure.maximise(np.ones((len(dense), 2)), np.zeros((len(dense), 2, 2)), structure.reduce(dense))
    np.testing.assert_allclose(structure.dense(again, 2, 2), dense, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(bg.memberships(post)["probability"].sum("cluster"), 1.0)
    em = bg.fit_mixture(rows, 2, name, random_state=0)
    contrast = bg.em_vs_posterior(em, post)
    assert "covariances[0, x0, x0]" in contrast.parameters.index
    view = Posterior.read(post)
    again = view.target.mixtures(view.unconstrained).in_data_units(view.scaling)
    trace = np.einsum("skii->sk", again.dense_covariances).sum(1)
    np.testing.assert_allclose(trace, np.einsum("skii->sk", view.draws.dense_covariances).sum(1), rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EEV", "VVE"])
def test_evidence_counts_the_axes(rows, name: str) -> None:
    """Bridge sampling in one region, times all namings of components and axes, against SMC from the whole prior."""
    post = bg.sample_posterior(rows, 2, name, random_seed=0, draws=500, progressbar=False)
    bridge = bg.log_evidence(post, method="bridge", random_seed=0)
    smc = bg.log_evidence(post, method="smc", random_seed=0)
    assert bridge.value == pytest.approx(smc.value, abs=4 * np.hypot(bridge.se, smc.se))
