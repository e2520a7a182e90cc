# Writes mclust_partitions.json: the partitions from which Mclust() starts EM by default. From the root of the repository:
#
#   Rscript tests/reference/make_mclust_partitions.R FOLDER > tests/reference/mclust_partitions.json
#
# FOLDER holds faithful.csv, iris.csv, acidity.csv and diabetes.csv. Needs mclust (Debian: r-cran-mclust).
suppressPackageStartupMessages(library(mclust))
folder <- commandArgs(trailingOnly = TRUE)[1]
stopifnot(dir.exists(folder))

partition <- function(name, groups) {
  frame <- read.csv(file.path(folder, paste0(name, ".csv")))
  x <- as.matrix(frame[sapply(frame, is.numeric)])
  labels <- if (ncol(x) == 1) mclust:::qclass(as.vector(x), groups) else hclass(hc(x, modelName = "VVV", use = "SVD"), groups)
  sprintf('  "%s,%d": "%s"', name, groups, paste(labels, collapse = ""))
}

cases <- list(list("faithful", 3), list("faithful", 2), list("iris", 3), list("acidity", 2), list("diabetes", 3))
rows <- vapply(cases, function(case) partition(case[[1]], case[[2]]), "")
cat("{\n", sprintf('  "note": "mclust %s, one digit per row",\n', packageVersion("mclust")),
    paste(rows, collapse = ",\n"), "\n}\n", sep = "")
