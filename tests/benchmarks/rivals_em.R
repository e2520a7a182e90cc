# mclust, called from outside: one command per line on standard input, one answer per line on standard output.
#
#   data FILE N D            read N x D doubles, column by column
#   labels FILE              read N integers: the partition from which iterations start
#   iterate MODEL ITERATIONS G    elapsed and processor seconds per EM iteration
#   grid LOW HIGH            processor seconds of mclustBIC() with LOW to HIGH components, all models
#   default MODEL G          processor seconds of Mclust() with G components, default settings, and log likelihood
suppressPackageStartupMessages(library(mclust))
cat(as.character(packageVersion("mclust")), "\n", sep = "")
flush(stdout())
input <- file("stdin", open = "r")
while (length(line <- readLines(input, n = 1)) > 0) {
  word <- strsplit(line, " ")[[1]]
  answer <- tryCatch({
    if (word[1] == "data") {
      n <- as.integer(word[3]); d <- as.integer(word[4])
      x <- matrix(readBin(word[2], "double", n * d), n, d)
      if (d == 1) x <- as.vector(x)
      "ok"
    } else if (word[1] == "labels") {
      labels <- readBin(word[2], "integer", NROW(x))
      "ok"
    } else if (word[1] == "iterate") {
      z <- unmap(labels, groups = seq_len(as.integer(word[4])))
      begun <- proc.time()[["elapsed"]]
      # Maximisation steps that iterate do so as far as by default.
      control <- emControl(tol = c(0, sqrt(.Machine$double.eps)), itmax = c(as.integer(word[3]), .Machine$integer.max))
      # Again and again, as R's clock ticks in milliseconds; an exact fixed point ends iterations early.
      iterations <- 0
      clock <- system.time(
        repeat {
          fit <- me(x, word[2], z, control = control, warn = FALSE)
          # Negative where the limit was reached.
          iterations <- iterations + abs(attr(fit, "info")[[1]])
          if (proc.time()[["elapsed"]] - begun > 0.2) break
        }
      )
      sprintf("%.9f %.9f", clock[["elapsed"]] / iterations, (clock[["user.self"]] + clock[["sys.self"]]) / iterations)
    } else if (word[1] == "default") {
      clock <- system.time(fit <- Mclust(x, G = as.integer(word[3]), modelNames = word[2], verbose = FALSE))
      sprintf("%.6f %.10g", clock[["user.self"]] + clock[["sys.self"]], if (is.null(fit)) NA else fit$loglik)
    } else if (word[1] == "grid") {
      clock <- system.time(mclustBIC(x, G = as.integer(word[2]):as.integer(word[3]), verbose = FALSE))
      sprintf("%.6f", clock[["user.self"]] + clock[["sys.self"]])
    } else "unknown command"
  }, error = function(e) paste("error", gsub("\n", " ", conditionMessage(e))))
  cat(answer, "\n", sep = "")
  flush(stdout())
}
