# Writes the bundled data sets. From the root of the repository:
#
#   Rscript tests/reference/make_datasets.R bayesgmm/tables/data
#
# Needs R with its package datasets, and MASS (Debian: r-base-core, r-cran-mass).
# Origin, licence and units: bayesgmm/tables/data/SOURCES.toml

folder <- commandArgs(trailingOnly = TRUE)[1]
stopifnot(dir.exists(folder))

save_csv <- function(frame, name)
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE, quote = FALSE)

save_csv(datasets::faithful, "faithful")

velocity <- MASS::galaxies
stopifnot(length(velocity) == 82, velocity[78] %in% c(26690, 26960))
velocity[78] <- 26960  # the typo that help(galaxies, package = "MASS") names
save_csv(data.frame(velocity = velocity / 1000), "galaxies")

iris <- datasets::iris
names(iris) <- c("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
save_csv(iris, "iris")
