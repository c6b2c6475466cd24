# Numbers of R for the data sets of data.json, written to oracles.json.
#
#     Rscript benchmarks/oracles/oracles.R
#
# A number is stored as design -> data set -> method -> name; README.md beside this file says what each method is and where
# R's own function, a package's or a published formula was used. What does not exist is NA and becomes null.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)))
packages <- c("lme4", "lmerTest", "pbkrtest", "nlme", "psych", "Epi", "exactRankTests", "jsonlite")
for (package in packages) {
  if (!requireNamespace(package, quietly = TRUE)) stop(package, " is not installed: see README.md beside this script")
}
suppressPackageStartupMessages(library(lmerTest))
for (file in c("mixed.R", "scores.R", "rates.R")) source(file.path(here, file))

data_file <- file.path(here, "data.json")
data <- jsonlite::fromJSON(data_file, simplifyMatrix = FALSE)
numbers <- list(
  nested = lapply(data$nested, nested),
  crossed = lapply(data$crossed, crossed),
  scores = lapply(data$scores, scores),
  tables = lapply(data$tables, tables),
  pairs = lapply(data$pairs, pairs),
  rates = lapply(data$rates, rates)
)
versions <- c(list(R = as.character(getRversion())), sapply(packages, function(name) {
  as.character(packageVersion(name))
}, simplify = FALSE))
# JSON has no infinity: it is stored as the text "Inf", which `float` of Python reads.
numbers <- rapply(numbers, function(x) if (is.infinite(x)) as.character(x) else x, "numeric", how = "replace")
made <- list(versions = versions, data_md5 = unname(tools::md5sum(data_file)), numbers = numbers)
jsonlite::write_json(made, file.path(here, "oracles.json"), auto_unbox = TRUE, digits = NA, na = "null", pretty = 1)
