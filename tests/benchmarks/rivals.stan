// Gaussian mixture with the labels summed out; the priors of bayesgmm.Priors() on standardised data.
data {
  int<lower=1> N;
  int<lower=1> D;
  int<lower=1> K;
  vector[D] z[N];
}
parameters {
  simplex[K] weights;
  vector[D] means[K];
  vector<lower=0>[D] scales[K];
  cholesky_factor_corr[D] correlations[K];
}
model {
  matrix[D, D] factors[K];
  vector[K] log_weights = log(weights);
  weights ~ dirichlet(rep_vector(4, K));
  for (k in 1:K) {
    means[k] ~ normal(0, 2);
    scales[k] ~ lognormal(-log(K) / D, 0.6);
    correlations[k] ~ lkj_corr_cholesky(2);
    factors[k] = diag_pre_multiply(scales[k], correlations[k]);
  }
  for (n in 1:N) {
    vector[K] terms = log_weights;
    for (k in 1:K) terms[k] += multi_normal_cholesky_lpdf(z[n] | means[k], factors[k]);
    target += log_sum_exp(terms);
  }
}
