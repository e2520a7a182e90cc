# mclust on one data set: Rscript groups_rivals.R rows.csv -> one line per method: name, labels.
suppressPackageStartupMessages(library(mclust))
args <- commandArgs(trailingOnly = TRUE)
x <- as.matrix(read.csv(args[1], header = FALSE))
say <- function(name, labels) cat(name, paste(as.integer(factor(labels)), collapse = " "), "\n")
fit <- Mclust(x, G = 1:6, verbose = FALSE)
say("BIC", fit$classification)
icl <- mclustICL(x, G = 1:6, verbose = FALSE)
best <- which(icl == max(icl, na.rm = TRUE), arr.ind = TRUE)[1, ]
say("ICL", Mclust(x, G = as.integer(rownames(icl)[best[1]]), modelNames = colnames(icl)[best[2]], verbose = FALSE)$classification)
combined <- clustCombi(fit)
n <- if (fit$G > 1) clustCombiOptim(combined, plot = FALSE)$numClusters.combi else 1
say("clustCombi", if (n > 1) clustCombiOptim(combined, plot = FALSE)$cluster.combi else rep(1, nrow(x)))
# It needs the package geometry; with one component there is nothing to merge.
if (requireNamespace("geometry", quietly = TRUE)) say("gmmhd", if (fit$G > 1) gmmhd(fit)$cluster else rep(1, nrow(x)))
