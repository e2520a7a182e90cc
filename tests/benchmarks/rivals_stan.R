# rstan, called from outside: Rscript rivals_stan.R MODEL INPUT OUTPUT CHAINS TUNE DRAWS CORES SEED
#
# INPUT is an R dump (N, D, K, z, and the start: weights, means, scales, correlations). OUTPUT receives draws of all
# parameters as doubles (draw fastest, then chain, then parameter), after a line of JSON on standard output.
suppressPackageStartupMessages(library(rstan))
word <- commandArgs(trailingOnly = TRUE)
input <- new.env()
sys.source(word[2], envir = input)
number <- as.integer(word[4:8])
chains <- number[1]; tune <- number[2]; draws <- number[3]
compile <- system.time(model <- stan_model(word[1]))[["elapsed"]]
start <- list(weights = input$weights, means = input$means, scales = input$scales, correlations = input$correlations)
wall <- system.time(
  fit <- sampling(model, data = list(N = input$N, D = input$D, K = input$K, z = input$z), chains = chains,
                  iter = tune + draws, warmup = tune, cores = number[4], seed = number[5], refresh = 0,
                  init = rep(list(start), chains), save_warmup = FALSE)
)[["elapsed"]]
values <- as.array(fit)
steps <- sapply(get_sampler_params(fit, inc_warmup = FALSE), function(s) sum(s[, "n_leapfrog__"]))
writeBin(as.vector(values), word[3])
cat(sprintf('\n{"compile": %.3f, "sampling": %.3f, "steps": %d, "names": ["%s"], "version": "%s"}\n', compile, wall,
            as.integer(sum(steps)), paste(dimnames(values)$parameters, collapse = '","'), packageVersion("rstan")))
