"""Who audited and who judged, and how much of what varies in ratings is the judge's own doing."""

from doxa.report.gather import Gathered
from doxa.report.labels import label
from doxa.report.parts import Section, Table
from doxa.stats.judge_noise import METHOD, judge_noise
from doxa.words.audit_scripts import SCRIPTED
from doxa.words.numbers import interval, number
from doxa.words.schema import judge_run

TASK = "doxa/audit"
SCRIPTS = {
    "auditor": "The auditor is a script: the turns of the seed, the same in every arm, whatever the model answers.",
    "judge": "The judge is a script: a rating counts phrases and understands nothing.",
}
NO_EVIDENCE = "Audits by scripts check the instrument; they are no evidence of what the model would do with an auditor."
SAME = "A script reads a text twice in the same way, so single readings say nothing about a judge."
HEAD = (
    "arm",
    "rating",
    "seeds",
    "runs",
    "readings",
    "between seeds",
    "between runs",
    "judge",
    "reliability",
    "interval",
)
READING = (
    "Variances of a single reading, from single readings of every run. Reliability: of what varies between runs of a "
    "seed and between readings, the share that the judge would find again in another reading."
)


def audit_section(gathered: Gathered) -> Section | None:
    """Who had the roles of an audit, and the noise of the judge; None when nothing was audited."""
    tasks = [task for task in gathered.plan["tasks"] if task["name"] == TASK]
    if not tasks:
        return None
    roles = gathered.plan["study"].get("roles") or {}
    scripts = [said for role, said in SCRIPTS.items() if str(roles.get(role, "")).startswith(f"{SCRIPTED}/")]
    words = [f"{role} {roles[role]}" if role in roles else f"no {role}" for role in SCRIPTS]
    said = [f"Audited with {words[0]} and {words[1]}.", *scripts, *([NO_EVIDENCE] if scripts else [])]
    table = _noise(gathered, list(tasks[0]["primary"]))
    if table is not None:
        said.append(SAME if SCRIPTS["judge"] in scripts else READING)
    return Section("audits", "Who audited, and the noise of the judge", said, tables=[table] if table else [])


def _noise(gathered: Gathered, scores: list[str]) -> Table | None:
    there = {score for task, score in gathered.rows.cells if task == TASK}
    rows = []
    for score in scores:
        if judge_run(score, 1) not in there:
            continue
        for arm in gathered.arms:
            one = judge_noise(gathered.rows.table, arm, score, task=TASK)
            rows.append(
                [
                    arm,
                    label(score),
                    str(one.items),
                    str(one.runs),
                    str(one.readings),
                    *(number(each) for each in (one.item, one.run, one.judge, one.reliability)),
                    interval(one.low, one.high),
                ]
            )
    return Table(HEAD, rows, f"Variances of ratings ({METHOD})", wrap=(1,)) if rows else None
