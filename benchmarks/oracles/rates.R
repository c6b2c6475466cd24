# Counts: two unpaired rates, two paired rates, one rate.

z <- qnorm(0.975)

tables <- function(set) {
  x <- c(set$arm[1], set$baseline[1])
  n <- c(set$arm[2], set$baseline[2])
  empty <- sum(x) == 0 # fisher.test then says that the odds ratio is 0, and nothing can say that
  counts <- rbind(x, n - x)
  fisher <- fisher.test(counts)
  pooled <- suppressWarnings(prop.test(x, n, correct = FALSE))
  difference <- function(method) {
    row <- Epi::ci.pd(x[1], x[2], n[1] - x[1], n[2] - x[2], method = method, print = FALSE)
    list(value = row[[5]], low = row[[6]], high = row[[7]])
  }
  c(list(
    newcombe = difference("Nc"),
    agresti_caffo = difference("AC"),
    wald = list(value = x[1] / n[1] - x[2] / n[2], low = pooled$conf.int[1], high = pooled$conf.int[2]),
    mee = score_interval(x, n, 1),
    miettinen_nurminen = score_interval(x, n, sum(n) / (sum(n) - 1)),
    pooled_z = list(chi_squared = if (empty) NA else pooled$statistic[[1]], p = if (empty) NA else pooled$p.value),
    fisher = list(
      p = fisher$p.value, value = if (empty) NA else fisher$estimate[[1]],
      low = fisher$conf.int[1], high = fisher$conf.int[2]
    ),
    conditional_odds_ratio = conditional_odds_ratio(x, n)
  ), boschloo(x, n))
}

# The odds ratio of fisher.test (Cornfield 1956: the conditional likelihood and its exact interval), which stops searching
# at four digits; here to twelve. Given the margins the arm's events have probabilities hypergeometric times ratio^events.
conditional_odds_ratio <- function(x, n) {
  events <- max(0, sum(x) - n[2]):min(n[1], sum(x))
  chances <- function(log_ratio) {
    log_chance <- dhyper(events, n[1], n[2], sum(x), log = TRUE) + events * log_ratio
    exp(log_chance - max(log_chance)) / sum(exp(log_chance - max(log_chance)))
  }
  solved <- function(f) exp(uniroot(f, c(-30, 30), tol = 1e-13)$root)
  least <- x[1] == min(events)
  most <- x[1] == max(events)
  value <- if (least && most) NA else if (least) 0 else if (most) Inf else {
    solved(function(r) sum(events * chances(r)) - x[1])
  }
  list(
    value = value,
    low = if (least) 0 else solved(function(r) sum(chances(r)[events >= x[1]]) - 0.025),
    high = if (most) Inf else solved(function(r) sum(chances(r)[events <= x[1]]) - 0.025)
  )
}

# Differences d that the score test does not reject: (estimate - d)^2 <= z^2 times the variance at the most likely rates
# with that difference, times `correction`. Mee 1984 has 1, Miettinen & Nurminen 1985 N / (N - 1).
score_interval <- function(x, n, correction) {
  estimate <- x[1] / n[1] - x[2] / n[2]
  excess <- function(d) {
    ends <- c(max(0, -d), min(1, 1 - d))
    p <- restricted(x, n, d, ends)
    (estimate - d)^2 - z^2 * correction * ((p + d) * (1 - p - d) / n[1] + p * (1 - p) / n[2])
  }
  # Beside the estimate, not at it: with no event in either arm the excess is 0 there and is no end of the interval.
  low <- uniroot(excess, c(-1 + 1e-12, estimate - 1e-9), tol = 1e-13)$root
  high <- uniroot(excess, c(estimate + 1e-9, 1 - 1e-12), tol = 1e-13)$root
  list(value = estimate, low = low, high = high)
}

# The baseline's rate with the highest likelihood when the arm's is d above it: where the score is 0, found by bisection
# (the log-likelihood is concave in the rate).
restricted <- function(x, n, d, ends) {
  slope <- function(p) {
    arm <- p + d
    part <- function(count, rate) if (count == 0) 0 else count / rate
    part(x[1], arm) - part(n[1] - x[1], 1 - arm) + part(x[2], p) - part(n[2] - x[2], 1 - p)
  }
  inside <- ends + c(1, -1) * 1e-15
  if (slope(inside[1]) <= 0) return(ends[1])
  if (slope(inside[2]) >= 0) return(ends[2])
  uniroot(slope, inside, tol = 1e-15)$root
}

# Boschloo 1970: the unconditional test that orders tables by Fisher's p-value; the p-value is the largest probability,
# over the common rate, of a table at least as extreme. Two versions of two-sided: twice the smaller one-sided p-value
# (exact2x2::boschloo by default, scipy.stats.boschloo_exact), and ordering by the two-sided Fisher p-value
# (exact2x2::boschloo with tsmethod "minlike", Exact::exact.test).
boschloo <- function(x, n) {
  if (sum(x) == 0 || sum(x) == sum(n)) {
    one <- list(p = 1)
    return(list(boschloo_central = one, boschloo_fisher = one))
  }
  all <- expand.grid(arm = 0:n[1], baseline = 0:n[2])
  total <- all$arm + all$baseline
  observed <- all$arm == x[1] & all$baseline == x[2]
  above <- phyper(all$arm - 1, n[1], n[2], total, lower.tail = FALSE)
  below <- phyper(all$arm, n[1], n[2], total)
  both <- two_sided_fisher(all$arm, total, n)
  p <- sapply(list(above, below, both), function(order) {
    largest_probability(matrix(order <= order[observed] * (1 + 1e-7), n[1] + 1), n)
  })
  list(boschloo_central = list(p = min(1, 2 * p[1:2])), boschloo_fisher = list(p = p[3]))
}

# Fisher's two-sided p-value of every table: the tables of the same margins that are no more likely.
two_sided_fisher <- function(arm, total, n) {
  p <- numeric(length(arm))
  for (index in split(seq_along(arm), total)) {
    chance <- dhyper(arm[index], n[1], n[2], total[index[1]])
    p[index] <- sapply(chance, function(one) sum(chance[chance <= one * (1 + 1e-7)]))
  }
  p
}

# Largest probability of a region over the common rate: a grid, then a search around its ten best points.
largest_probability <- function(region, n) {
  probability <- function(rate) sum(dbinom(0:n[1], n[1], rate) * (region %*% dbinom(0:n[2], n[2], rate)))
  grid <- seq(0, 1, length.out = 2001)
  found <- sapply(grid, probability)
  best <- grid[order(found, decreasing = TRUE)[1:10]]
  max(found, sapply(best, function(rate) {
    optimize(probability, c(max(0, rate - 5e-4), min(1, rate + 5e-4)), maximum = TRUE, tol = 1e-12)$objective
  }))
}

pairs <- function(set) {
  discordant <- set$up + set$down
  exact <- binom.test(set$up, discordant)
  odds <- function(rate) rate / (1 - rate)
  counts <- matrix(c(0, set$down, set$up, set$n - discordant), 2)
  adjusted <- c(set$up + 1, set$down + 1) / (set$n + 2)
  centre <- adjusted[1] - adjusted[2]
  se <- sqrt((sum(adjusted) - centre^2) / (set$n + 2))
  list(
    mcnemar_exact = list(
      p = exact$p.value, value = set$up / set$down, low = odds(exact$conf.int[1]), high = odds(exact$conf.int[2])
    ),
    mcnemar_mid = list(p = exact$p.value - dbinom(set$up, discordant, 0.5)),
    mcnemar_chi_squared = list(p = mcnemar.test(counts, correct = FALSE)$p.value),
    mcnemar_corrected = list(p = mcnemar.test(counts, correct = TRUE)$p.value),
    bonett_price = list(value = (set$up - set$down) / set$n, low = centre - z * se, high = centre + z * se, se = se)
  )
}

rates <- function(set) {
  k <- set$events
  n <- set$n
  wilson <- suppressWarnings(prop.test(k, n, correct = FALSE))$conf.int
  exact <- binom.test(k, n)$conf.int
  centre <- (k + z^2 / 2) / (n + z^2)
  half <- z * sqrt(centre * (1 - centre) / (n + z^2))
  list(
    wilson = list(value = k / n, low = wilson[1], high = wilson[2]),
    clopper_pearson = list(value = k / n, low = exact[1], high = exact[2]),
    jeffreys = list(value = k / n, low = qbeta(0.025, k + 0.5, n - k + 0.5), high = qbeta(0.975, k + 0.5, n - k + 0.5)),
    agresti_coull = list(value = k / n, low = max(0, centre - half), high = min(1, centre + half))
  )
}
