# Two arms of scores from 1 to 10: means, ranks, P(X > Y).

scores <- function(set) {
  welch <- t.test(set$arm, set$baseline)
  list(
    welch = by_t_test(welch, mean(set$arm) - mean(set$baseline), welch$stderr),
    wilcoxon = wilcoxon(set$arm, set$baseline),
    brunner_munzel = brunner_munzel(set$arm, set$baseline),
    logit_t_of_arm = logit_t(set$arm),
    mover_of_logit_t = mover_of_logit_t(set$arm, set$baseline)
  )
}

wilcoxon <- function(x, y) {
  list(
    statistic = unname(wilcox.test(x, y, exact = FALSE)$statistic),
    p = wilcox.test(x, y, exact = FALSE, correct = FALSE)$p.value,
    p_corrected = wilcox.test(x, y, exact = FALSE, correct = TRUE)$p.value,
    p_exact = exactRankTests::wilcox.exact(x, y, exact = TRUE)$p.value
  )
}

# Brunner & Munzel 2000, section 3 (relative effect P(X > Y) + P(X = Y) / 2, t with Satterthwaite's degrees of freedom).
# Nothing can be estimated when the samples do not overlap: both variances are 0.
brunner_munzel <- function(x, y) {
  n <- c(length(x), length(y))
  all <- rank(c(x, y))
  of_x <- all[seq_along(x)]
  of_y <- all[-seq_along(x)]
  value <- (mean(of_x) - mean(of_y)) / sum(n) + 0.5
  variances <- c(var(of_x - rank(x)), var(of_y - rank(y))) / (rev(n)^2 * n)
  if (sum(variances) == 0) return(list(value = value, low = NA, high = NA, statistic = NA, df = NA, p = NA))
  se <- sqrt(sum(variances))
  df <- sum(variances)^2 / sum(variances^2 / (n - 1))
  statistic <- (value - 0.5) / se
  half <- qt(0.975, df) * se
  list(
    value = value, low = value - half, high = value + half, statistic = statistic, df = df,
    p = 2 * pt(-abs(statistic), df)
  )
}

# t on the logit of the mean, rescaled from 1..10 to 0..1, by the delta method.
logit_t <- function(x) {
  m <- (mean(x) - 1) / 9
  half <- qt(0.975, length(x) - 1) * sd(x) / 9 / sqrt(length(x)) / (m * (1 - m))
  list(value = mean(x), low = 1 + 9 * plogis(qlogis(m) - half), high = 1 + 9 * plogis(qlogis(m) + half))
}

# Zou & Donner 2008, equation 3, from the two intervals above.
mover_of_logit_t <- function(x, y) {
  a <- logit_t(x)
  b <- logit_t(y)
  value <- a$value - b$value
  list(
    value = value,
    low = value - sqrt((a$value - a$low)^2 + (b$high - b$value)^2),
    high = value + sqrt((a$high - a$value)^2 + (b$value - b$low)^2)
  )
}
