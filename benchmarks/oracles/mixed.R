# A recipe (seeds x runs) against vanilla, and seeds crossed with items: mixed models, analysis of variance, t.

precise <- lmerControl(
  optimizer = "bobyqa", optCtrl = list(rhobeg = 0.02, rhoend = 1e-10, maxfun = 1e5),
  check.conv.grad = "ignore", check.conv.singular = "ignore"
)

# A t interval and its p-value from an estimate, a standard error and degrees of freedom.
by_t <- function(value, se, df) {
  half <- qt(0.975, df) * se
  list(value = value, low = value - half, high = value + half, se = se, df = df, p = 2 * pt(-abs(value / se), df))
}

# One coefficient of a fitted lmer.
by_lmer <- function(fit, coefficient, ddf) {
  row <- coef(summary(fit, ddf = ddf))[coefficient, ]
  c(by_t(row[["Estimate"]], row[["Std. Error"]], row[["df"]]), list(singular = isSingular(fit)))
}

by_t_test <- function(test, value, se) {
  list(
    value = value, low = test$conf.int[1], high = test$conf.int[2], se = se, df = test$parameter[[1]], p = test$p.value
  )
}

# Vanilla is one fixed model: its rows have treat 0, and no seed variance.
nested <- function(set) {
  runs <- lengths(set$seeds)
  rows <- data.frame(
    y = c(set$vanilla, unlist(set$seeds)),
    treat = rep(0:1, c(length(set$vanilla), sum(runs))),
    seed = factor(c(rep(0, length(set$vanilla)), rep(seq_along(runs), runs)))
  )
  fit <- lmer(y ~ treat + (0 + treat | seed), rows, control = precise)
  found <- list(
    lmer_satterthwaite = by_lmer(fit, "treat", "Satterthwaite"),
    lmer_kenward_roger = by_lmer(fit, "treat", "Kenward-Roger"),
    lme_two_variances = two_variances(rows)
  )
  means <- sapply(set$seeds, mean)
  welch <- t.test(means, set$vanilla)
  table <- summary(aov(y ~ seed, droplevels(rows[rows$treat == 1, ])))[[1]]
  found$welch_of_seed_means <- by_t_test(welch, mean(means) - mean(set$vanilla), welch$stderr)
  found$welch_of_seed_means_with_floor <- floored(set, means, runs, table[["Mean Sq"]][2])
  if (length(unique(runs)) == 1) found$closed_form <- nested_closed_form(set, runs[1], table)
  c(found, seed_variance(set, runs, table))
}

# Residual variance of its own for vanilla and for the recipe: nlme, by REML. Its degrees of freedom are not used.
two_variances <- function(rows) {
  fit <- nlme::lme(
    y ~ treat, rows, list(seed = nlme::pdSymm(~ 0 + treat)),
    weights = nlme::varIdent(form = ~ 1 | treat),
    control = nlme::lmeControl(msMaxIter = 500, msTol = 1e-12, tolerance = 1e-10, opt = "optim", reltol = 1e-14)
  )
  row <- summary(fit)$tTable["treat", ]
  list(value = row[["Value"]], se = row[["Std.Error"]])
}

# Welch on means of seeds, with the variance between seeds at least what the runs alone would give.
floored <- function(set, means, runs, within) {
  k <- length(means)
  recipe <- max(var(means) / k, within * mean(1 / runs) / k)
  vanilla <- var(set$vanilla) / length(set$vanilla)
  df <- (recipe + vanilla)^2 / (recipe^2 / (k - 1) + vanilla^2 / (length(set$vanilla) - 1))
  by_t(mean(means) - mean(set$vanilla), sqrt(recipe + vanilla), df)
}

# What lmer estimates when every seed has the same number of runs: one residual variance, pooled over vanilla and seeds.
# On the boundary (F below 1) the seeds' mean square is pooled too.
nested_closed_form <- function(set, runs, table) {
  k <- length(set$seeds)
  n <- length(set$vanilla)
  squares <- table[["Sum Sq"]][2] + var(set$vanilla) * (n - 1)
  df <- k * (runs - 1) + n - 1
  value <- mean(unlist(set$seeds)) - mean(set$vanilla)
  between <- table[["Mean Sq"]][1]
  if (between <= squares / df) {
    residual <- (squares + table[["Sum Sq"]][1]) / (df + k - 1)
    return(by_t(value, sqrt(residual * (1 / (k * runs) + 1 / n)), df + k - 1))
  }
  parts <- c(between / (k * runs), squares / df / n)
  by_t(value, sqrt(sum(parts)), sum(parts)^2 / sum(parts^2 / c(k - 1, df)))
}

# Is there variance between seeds: the F test of aov; the intraclass correlation with Searle's interval. With unequal
# runs n0 takes the place of the number of runs, and the interval is approximate.
seed_variance <- function(set, runs, table) {
  f <- table[["F value"]][1]
  df <- table[["Df"]]
  n0 <- (sum(runs) - sum(runs^2) / sum(runs)) / (length(runs) - 1)
  icc <- function(ratio) (ratio - 1) / (ratio + n0 - 1)
  found <- list(
    seed_f = list(
      f = f, df_between = df[1], df_within = df[2], p = table[["Pr(>F)"]][1],
      ms_between = table[["Mean Sq"]][1], ms_within = table[["Mean Sq"]][2]
    ),
    searle = list(
      value = icc(f), low = icc(f / qf(0.975, df[1], df[2])), high = icc(f / qf(0.025, df[1], df[2])), n0 = n0
    )
  )
  if (length(unique(runs)) == 1) {
    one <- psych::ICC(do.call(rbind, set$seeds), lmer = FALSE)$results["Single_raters_absolute", ]
    found$psych_icc1 <- list(value = one$ICC, low = one$`lower bound`, high = one$`upper bound`, f = one$F, p = one$p)
  }
  found
}

crossed <- function(set) {
  d <- do.call(rbind, set)
  rows <- data.frame(d = as.vector(d), seed = factor(as.vector(row(d))), item = factor(as.vector(col(d))))
  fit <- lmer(d ~ 1 + (1 | seed) + (1 | item), rows, control = precise)
  table <- summary(aov(d ~ seed + item, rows))[[1]]
  squares <- table[["Mean Sq"]]
  df <- table[["Df"]]
  parts <- squares * c(1, 1, -1)
  variance <- sum(parts) / length(d)
  list(
    lmer_satterthwaite = by_lmer(fit, "(Intercept)", "Satterthwaite"),
    lmer_kenward_roger = by_lmer(fit, "(Intercept)", "Kenward-Roger"),
    closed_form = if (variance > 0) by_t(mean(d), sqrt(variance), sum(parts)^2 / sum(parts^2 / df)),
    mean_squares = list(
      ms_seeds = squares[1], ms_items = squares[2], ms_error = squares[3],
      df_seeds = df[1], df_items = df[2], df_error = df[3]
    ),
    seed_f = list(f = squares[1] / squares[3], p = table[["Pr(>F)"]][1]),
    t_over_items = one_sample(colMeans(d)),
    t_over_seeds = one_sample(rowMeans(d))
  )
}

one_sample <- function(units) {
  test <- t.test(units)
  by_t_test(test, mean(units), test$stderr)
}
