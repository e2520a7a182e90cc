"""The Bayesian path: priors, PyMC model, marginal likelihood, sampling, relabelling."""
