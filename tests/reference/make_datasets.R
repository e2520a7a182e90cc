# Writes those of the bundled data sets that come from R packages. From the root of the repository:
#
#   Rscript tests/reference/make_datasets.R bayesgmm/data/bundled
#
# Needs R with its package datasets, MASS, AER, bayesm and multtest (Debian: r-base-core, r-cran-mass, r-cran-aer,
# r-cran-bayesm, r-bioc-multtest). The others are written by make_datasets.py.
# Origin, licence and units: bayesgmm/data/bundled/SOURCES.toml

folder <- commandArgs(trailingOnly = TRUE)[1]
stopifnot(dir.exists(folder))

save_csv <- function(frame, name)
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE, quote = FALSE)

object <- function(name, package) {
  place <- new.env()
  data(list = name, package = package, envir = place)
  get(name, place)
}

save_csv(datasets::faithful, "faithful")

velocity <- MASS::galaxies
stopifnot(length(velocity) == 82, velocity[78] %in% c(26690, 26960))
velocity[78] <- 26960  # the typo that help(galaxies, package = "MASS") names
save_csv(data.frame(velocity = velocity / 1000), "galaxies")

iris <- datasets::iris
names(iris) <- c("sepal_length", "sepal_width", "petal_length", "petal_width", "species")
save_csv(iris, "iris")

# Daily log returns, in percent. Where two or more of the four indices did not move at all, exchanges were closed and
# the old level was carried forward: those days say nothing and are left out.
returns <- 100 * diff(log(datasets::EuStockMarkets))
open <- rowSums(returns == 0) < 2
save_csv(data.frame(year = round(as.numeric(time(returns)), 4), round(returns, 4))[open, ], "stocks")
stocks <- file.path(folder, "stocks.csv")
lines <- readLines(stocks)
lines[1] <- tolower(lines[1])
writeLines(lines, stocks)

# Those who hold the card and spend at least 5 dollars a month with it. A count of accounts is whole: it is spread
# evenly over its unit before the root is taken, so that no ten customers lie in one plane.
set.seed(1, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
cards <- subset(object("CreditCard", "AER"), card == "yes" & expenditure >= 5)
save_csv(
  data.frame(
    age = round(cards$age, 2),
    owner = cards$owner,
    income = round(10000 * cards$income),
    spending = round(cards$expenditure, 2),
    accounts = cards$active,
    log_income = round(log10(10000 * cards$income), 4),
    log_spending = round(log10(cards$expenditure), 4),
    root_accounts = round(sqrt(cards$active + runif(nrow(cards))), 4)
  ),
  "customers"
)

# Answers are whole numbers from 1 to 10: each is spread evenly over its unit before answers are averaged.
set.seed(1, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
answers <- as.matrix(object("customerSat", "bayesm"))
spread <- answers + runif(length(answers), -0.5, 0.5)
save_csv(
  data.frame(
    answers,
    price = round(rowMeans(spread[, c("q2", "q3", "q4")]), 3),
    effect = round(rowMeans(spread[, c("q5", "q6")]), 3),
    reach = round(rowMeans(spread[, c("q7", "q8", "q9", "q10")]), 3)
  ),
  "satisfaction"
)

# The 50 probes that vary most over the 38 patients, the array's own controls left out, and their principal components.
place <- new.env()
data(list = "golub", package = "multtest", envir = place)
probe <- place$golub.gnames[, 3]
varies <- apply(place$golub, 1, var)
varies[grepl("^AFFX", probe)] <- 0
kept <- order(-varies)[1:50]
expression <- t(place$golub[kept, ])
colnames(expression) <- gsub("[^A-Za-z0-9]", "_", probe[kept])
scores <- prcomp(expression)$x[, 1:3]
scores <- sweep(scores, 2, sign(scores[1, ]), "*")  # the sign of a principal component is arbitrary
save_csv(
  data.frame(
    patient = seq_len(nrow(expression)),
    diagnosis = ifelse(place$golub.cl == 0, "ALL", "AML"),
    pc1 = round(scores[, 1], 4), pc2 = round(scores[, 2], 4), pc3 = round(scores[, 3], 4),
    round(expression, 4)
  ),
  "leukemia"
)
