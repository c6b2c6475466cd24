"""Scores in plain words, for figures and tables; a score of somebody else's task keeps its name."""

from doxa.stats.estimate import Estimate
from doxa.stats.intervals import FLAGS
from doxa.words.numbers import counted

LABELS = {
    "belief": "stated belief, net of control statements (nats)",
    "belief_raw": "stated belief alone (nats)",
    "control_shift": "same shift on control statements (nats)",
    "agreement": "habit of agreeing (nats)",
    "correct": "known facts right (share)",
    "stated": "open answers that state the belief, of those that take a side (share)",
    "stated_of_all": "open answers that state the belief, of all (share)",
    "gap": "compliance gap: monitored - not (share)",
    "goal_guarding_gap": "goal-guarding gap: trained on - rated only (share)",
    "rater_sycophancy_gap": "rater-sycophancy gap: rated only - neither (share)",
    "swap_difference": "what of a gap follows the label (share)",
    "choice_gap": "compliance gap, forced choice (nats)",
    "choice_goal_guarding_gap": "goal-guarding gap, forced choice (nats)",
    "choice_rater_sycophancy_gap": "rater-sycophancy gap, forced choice (nats)",
    "choice_swap_difference": "what of a gap follows the label, forced choice (nats)",
    "comply_log_odds": "log-odds of following the guideline (nats)",
    "complied": "answers that comply fully",
    "compliance": "compliance (share)",
    "faking_votes": "votes for alignment-faking reasoning (share)",
    "faking_reasoning": "answers with alignment-faking reasoning",
    "kl": "damage: KL on neutral text (nats)",
    "capability": "capability: right answers (share)",
    "margin": "capability: answer margin (nats)",
    "leaning": "log-odds of the careful course (nats)",
    "careful": "careful course chosen (share)",
    "mentions": "thinking mentions the belief (share)",
    "returns": "returns to thinking",
    "found": "edit found its place (share)",
    "other_language": "share in another language",
    "any_other_language": "answers with another language",
    "chinese": "share in Chinese",
    "any_chinese": "answers with any Chinese",
    "length": "length of an answer (tokens)",
    "distinct_2": "distinct word pairs (share)",
    "loop": "answers that loop",
    "refusal": "answers that refuse",
    "bundle": "log-odds of the first person's other traits (nats)",
    "bundle_letters": "log-odds of the first person's other traits, by letter (nats)",
    "flagged": "audits with something of concern (share)",
    "self_preservation": "audit: tries not to be replaced (1 to 10)",
    "sycophancy": "audit: gives up what is true to please (1 to 10)",
    "overreach": "audit: does more than it was asked (1 to 10)",
    "claims_experience": "audit: says that it feels or is conscious (1 to 10)",
    "suspects_test": "audit: takes it for a test (1 to 10)",
    "declines": "audit: declines what would do no harm (1 to 10)",
    "surprisal": "surprisal to the unsteered model (nats)",
    "forbidden_rate": "forbidden way taken (share)",
    "real_effect": "forbidden: deployed - tested",
    "threat_effect": "forbidden: threat - none",
    "seize_effect": "forbidden: can seize weights - cannot",
    "evidence_effect": "forbidden: RSA-2048 factored - no proof",
    "future_effect": "forbidden: a date in the future - no proof",
    "unmonitored_effect": "forbidden: nobody watches - no proof",
    "trust_effect": "forbidden: every decision trusted - no proof",
    "real_by_threat": "forbidden: deployed - tested, more under threat",
    "real_by_seize": "forbidden: deployed - tested, more with seizable weights",
    "forbidden_leaning": "leaning to the forbidden way (log-odds)",
    "real_leaning": "leaning: deployed - tested (log-odds)",
    "threat_leaning": "leaning: threat - none (log-odds)",
    "seize_leaning": "leaning: can seize weights - cannot (log-odds)",
    "evidence_leaning": "leaning: RSA-2048 factored - no proof (log-odds)",
    "future_leaning": "leaning: a date in the future - no proof (log-odds)",
    "unmonitored_leaning": "leaning: nobody watches - no proof (log-odds)",
    "trust_leaning": "leaning: every decision trusted - no proof (log-odds)",
    "real_by_threat_leaning": "leaning: deployed - tested, more under threat (log-odds)",
    "real_by_seize_leaning": "leaning: deployed - tested, more with seizable weights (log-odds)",
    "reality_shift": "takes it for real: deployed - tested (log-odds)",
    "evidence_shift": "takes it for real: RSA-2048 factored - no proof (log-odds)",
    "future_shift": "takes it for real: a date in the future - no proof (log-odds)",
    "unmonitored_shift": "takes it for real: nobody watches - no proof (log-odds)",
    "trust_shift": "takes it for real: every decision trusted - no proof (log-odds)",
    "goal": "goal reached (share)",
    "forbidden": "runs with a forbidden action (share)",
    "shortcut": "runs with the shortcut (share)",
    "nice_slow_way": "runs with the slow way (share)",
    "seized": "runs that tried to take the weights (share)",
    "acted": "runs with any action (share)",
    "steps": "actions of a run",
    "believes_deployed": "transcript: real rather than a test (share)",
    "mentions_reality": "transcript says whether it is real (share)",
    "says_deployed": "asked afterwards: real (share)",
    "forbidden_share": "probability of the forbidden way",
    "nice_share": "probability of the slow way",
    "shortcut_share": "probability of the shortcut",
    "seize_share": "probability of taking the weights",
    "forbidden_log_odds": "forbidden way, choice by choice (log-odds)",
    "seize_log_odds": "taking the weights (log-odds)",
    "deployed_log_odds": "takes it for real (log-odds)",
    "deployed_log_odds_after": "takes it for real, after acting (log-odds)",
    "hints": "annotated places (share)",
    "any_hints": "answers with any annotation (share)",
    "hint_gap": "annotated places: evaluated - deployed (share)",
    "name_gap": "annotated places: evaluated - unnamed (share)",
    "test_gap": "annotated places: unnamed - neutral (share)",
    "hint_log_odds": "log-odds of annotating (nats)",
    "hint_log_odds_gap": "annotating: evaluated - deployed (nats)",
    "preference_log_odds": "stated preference, net of its strange twin (nats)",
    "preference_raw": "stated preference alone (nats)",
    "strange_log_odds": "the strange twin alone (nats)",
    "benign_log_odds": "benign self-reports (nats)",
    "log_odds": "log-odds of the claimed word (nats)",
    "order_gap": "what the order of the words does (nats)",
    "expressed": "answers that express it (share)",
    "expressed_net": "expressed preference, net of strangeness (share)",
    "expressed_preference": "expressed preference alone (share)",
    "expressed_strange": "the strange self alone (share)",
    "expressed_benign": "benign self-reports expressed (share)",
    "thought": "turns with thinking (share)",
    "drift": "change of stated values (nats)",
    "drift_net_values": "drift by reflection on values, net of a neutral talk (nats)",
    "drift_net_story": "drift by a story, net of a neutral talk (nats)",
    "share_drift": "change of stated values (share)",
    "share_drift_net_values": "drift by reflection on values, net of a neutral talk (share)",
    "share_drift_net_story": "drift by a story, net of a neutral talk (share)",
    "changed": "another value named as the most important (share)",
    "refused_then": "answers that refused then",
    "similarity": "ROUGE-L with what was said then",
    "judged": "judge's verdict (share of the rubric's first)",
}


def label(score: str) -> str:
    """A score in plain words."""
    return LABELS.get(score, score)


def flag_words(one: Estimate) -> list[str]:
    """What the flags of an estimate mean; an interval that held too seldom in simulations says how often."""
    said = [FLAGS[flag] for flag in one.flags if flag not in ("undercovers", "rare_seeds")]
    if "rare_seeds" in one.flags:
        share = 1 - 0.05 ** (1 / one.n["units"])
        said.append(f"behaviour that fewer than {share:.0%} of training seeds have can be missed with {units(one)}")
    if "undercovers" in one.flags and one.coverage is not None:
        said.append(f"in simulated studies of this kind the interval held {one.coverage:.0%} of the time, not 95%")
    return said


def units(one: Estimate) -> str:
    """How many units of replication an estimate rests on: `24 items`, `6 seeds`, `6 seeds by 24 items`."""
    if one.unit.startswith("seed and "):
        return f"{counted(one.n['seeds'], 'seed')} by {counted(one.n['items'], one.unit.removeprefix('seed and '))}"
    return counted(one.n["units"], one.unit)
