"""A paragraph on methods, each number of which says where it stands, and the references that it cites."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..mixture import ModelKey
from .findings import Findings

__all__ = ["Methods", "methods"]

# key: (type, fields)
_REFERENCES: dict[str, str] = {
    "dempster1977": """@article{dempster1977,
  author = {Dempster, A. P. and Laird, N. M. and Rubin, D. B.},
  title = {Maximum likelihood from incomplete data via the {EM} algorithm},
  journal = {Journal of the Royal Statistical Society, Series B}, volume = {39}, number = {1}, pages = {1--38}, year = {1977}
}""",
    "schwarz1978": """@article{schwarz1978,
  author = {Schwarz, G.}, title = {Estimating the dimension of a model},
  journal = {The Annals of Statistics}, volume = {6}, number = {2}, pages = {461--464}, year = {1978}
}""",
    "hoffman2014": """@article{hoffman2014,
  author = {Hoffman, M. D. and Gelman, A.},
  title = {The {No-U-Turn} sampler: adaptively setting path lengths in {Hamiltonian} {Monte} {Carlo}},
  journal = {Journal of Machine Learning Research}, volume = {15}, pages = {1593--1623}, year = {2014}
}""",
    "syed2022": """@article{syed2022,
  author = {Syed, S. and Bouchard-C{\\^o}t{\\'e}, A. and Deligiannidis, G. and Doucet, A.},
  title = {Non-reversible parallel tempering: a scalable highly parallel {MCMC} scheme},
  journal = {Journal of the Royal Statistical Society, Series B}, volume = {84}, number = {2}, pages = {321--350}, year = {2022}
}""",
    "stephens2000": """@article{stephens2000,
  author = {Stephens, M.}, title = {Dealing with label switching in mixture models},
  journal = {Journal of the Royal Statistical Society, Series B}, volume = {62}, number = {4}, pages = {795--809}, year = {2000}
}""",
    "vehtari2021": """@article{vehtari2021,
  author = {Vehtari, A. and Gelman, A. and Simpson, D. and Carpenter, B. and B{\\"u}rkner, P.-C.},
  title = {Rank-normalization, folding, and localization: an improved {$\\widehat{R}$} for assessing convergence of {MCMC}},
  journal = {Bayesian Analysis}, volume = {16}, number = {2}, pages = {667--718}, year = {2021}
}""",
    "vehtari2017": """@article{vehtari2017,
  author = {Vehtari, A. and Gelman, A. and Gabry, J.},
  title = {Practical {Bayesian} model evaluation using leave-one-out cross-validation and {WAIC}},
  journal = {Statistics and Computing}, volume = {27}, pages = {1413--1432}, year = {2017}
}""",
    "meng1996": """@article{meng1996,
  author = {Meng, X.-L. and Wong, W. H.},
  title = {Simulating ratios of normalizing constants via a simple identity: a theoretical exploration},
  journal = {Statistica Sinica}, volume = {6}, number = {4}, pages = {831--860}, year = {1996}
}""",
}


@dataclass
class Methods:
    """The paragraph.

    Attributes
    ----------
    text : str
        Markdown, citations as ``[@key]``.
    numbers : list of dict
        ``shown``, ``is`` and ``from`` of every number in the text, in its order.
    """

    text: str = ""
    numbers: list[dict[str, str]] = field(default_factory=list)

    def number(self, value: Any, what: str, source: str, form: str = "") -> str:
        """A number as it is shown, and noted."""
        shown = format(value, form)
        self.numbers.append({"shown": shown, "is": what, "from": source})
        return shown

    @property
    def bibtex(self) -> str:
        """The references that are cited."""
        return "\n\n".join(entry for key, entry in _REFERENCES.items() if f"@{key}" in self.text) + "\n"


def methods(findings: Findings) -> Methods:
    """Versions, priors, verdicts and what was compared, in words that a paper can take over."""
    m = Methods()
    m.text = (
        " ".join(
            [_data(m, findings), _fits(m, findings), _priors(m, findings), _verdict(m, findings), _models(m, findings)]
        )
        + "\n"
    )
    return m


def _data(m: Methods, f: Findings) -> str:
    n = m.number(f.table.n_obs, "rows", "analysis.json: provenance.rows", ",")
    d = m.number(f.table.n_features, "columns", "analysis.json: provenance.columns")
    version = m.number(
        f.provenance["versions"]["bayesgmm"], "version of bayesgmm", "analysis.json: provenance.versions"
    )
    return (
        f"Gaussian mixtures were fitted to the {n} rows and {d} columns of {f.table.name} with bayesgmm {version}, by maximum "
        "likelihood (EM) [@dempster1977] and by their posterior."
    )


def _fits(m: Methods, f: Findings) -> str:
    ks = sorted({k for k, _ in f.grid.fits})
    low, high = (m.number(k, "components", "criteria.csv: n_components") for k in (ks[0], ks[-1]))
    sampler = str(f.posterior.attrs.get("sampler", f.posterior.attrs["inference_library"]))
    tempered = sampler == "tempering"
    how = "non-reversible parallel tempering [@syed2022]" if tempered else "the No-U-Turn sampler [@hoffman2014]"
    library, its = f.posterior.attrs["inference_library"], f.posterior.attrs["inference_library_version"]
    its = m.number(its, f"version of {library}", "posterior-*.nc: attrs.inference_library_version")
    sizes = f.posterior["posterior"].sizes
    chains = m.number(sizes["chain"], "chains", "posterior-*.nc: dimension chain")
    draws = m.number(sizes["draw"], "draws per chain", "posterior-*.nc: dimension draw", ",")
    structures = ", ".join(sorted({name for _, name in f.grid.fits}))
    return (
        f"EM covered {low} to {high} components and the covariance structures {structures}, compared by BIC [@schwarz1978]. "
        f"The posterior was sampled by {how} ({library} {its}), {chains} chains of {draws} draws, labels summed out and "
        "aligned afterwards [@stephens2000]."
    )


def _priors(m: Methods, f: Findings) -> str:
    priors = f.provenance["priors"]
    source = "analysis.json: provenance.priors"
    scale = priors["scale"]
    location, width = (
        m.number(priors[name], name, source, "g") if isinstance(priors[name], int | float) else "a vector"
        for name in ("mean_location", "mean_scale")
    )
    parameters = ", ".join(
        f"{name} = {m.number(value, f'{name} of the scale prior', source, 'g')}"
        for name, value in scale.items()
        if isinstance(value, int | float)
    )
    eta = m.number(priors["correlation_eta"], "eta of the correlations", source, "g")
    weight = m.number(priors["weight_concentration"], "concentration of the weights", source, "g")
    return (
        f"Priors, on {priors['units']} columns: means normal with location {location} and scale {width}; standard deviations "
        f"{scale['family']} ({parameters}); correlations LKJ (eta = {eta}); weights Dirichlet (concentration {weight})."
    )


def _verdict(m: Methods, f: Findings) -> str:
    table = f.diagnosis.table
    source = f"diagnose(posterior-{f.headline.replace(' ', '-')}.nc).table"
    r_hat = m.number(table["r_hat"].max(), "largest R-hat", source, ".3f")
    ess = m.number(int(table[["ess_bulk", "ess_tail"]].min().min()), "smallest effective sample size", source, ",")
    return (
        f"The verdict on the model reported is: {f.diagnosis.title} (largest R-hat {r_hat}, smallest effective sample size "
        f"{ess}, of quantities that do not depend on labels [@vehtari2021])."
    )


def _models(m: Methods, f: Findings) -> str:
    row, key = f.comparison.loc[f.headline], ModelKey.parse(f.headline)
    source = f"comparison.csv: row '{f.headline}'"
    number = m.number(len(f.comparison), "models compared", "comparison.csv: rows")
    k = m.number(key.n_components, "components of the model reported", source)
    p = m.number(row["p_k"], f"p(K = {k} given the data)", f"{source}, p_k", ".2f")
    own = m.number(row["p_structure"], "p(structure given K and the data)", f"{source}, p_structure", ".2f")
    elpd, se = (m.number(row[name], what, f"{source}, {name}", ".1f") for name, what in
                (("elpd", "expected log predictive density"), ("elpd_se", "its standard error")))  # fmt: skip
    return (
        f"Of {number} sampled models, compared by their evidence (bridge sampling [@meng1996]) and by PSIS-LOO [@vehtari2017], "
        f"that of {k} components with the structure '{key.covariance_type}' is reported: posterior probability {p} of its "
        f"number of components and, with it, {own} of its structure, under a prior uniform on both; expected log predictive "
        f"density {elpd} (standard error {se})."
    )
