"""Write the pages that are made from the code: `python docs/generate.py`.

`study-reference.md` and `cli.md` are generated whole, in `architecture.md` the list of modules between two marks. What
is said about a key stands here, and a key that nothing is said about stops the script: the page cannot fall behind.
"""

import ast
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import get_args

import click
import yaml

from doxa.cli import main
from doxa.evals.catalogue import TASKS, entry
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.vectors.pairs import shipped_pairs
from doxa.verbs.models import pace_words, rows_of
from doxa.words import contrasts, grammar, interventions, scope, stopping, study, tuning
from doxa.words.beliefs import shipped_beliefs
from doxa.words.errors import NotYetError
from doxa.words.layers import Share
from doxa.words.roster import read_roster
from doxa.words.wordings import shipped_wordings

DOCS = Path(__file__).parent
SOURCE = DOCS.parent / "src" / "doxa"
WRITTEN = "<!-- Written by docs/generate.py from the code: change the code or that script, not this page. -->"
BEGIN, END = "<!-- modules: written by docs/generate.py -->", "<!-- end of modules -->"
EXAMPLE_LAYERS = 30

KEYS = {
    "study": ("required", "Name of the study; it names the results folder."),
    "question": ("none", "The question in one sentence: the report's title."),
    "caveat": ("none", "What the study cannot show, in a sentence or two: it stands under the report's answer."),
    "model": ("required", "A name, or `{name, dtype, device}`."),
    "models": ("none", "Several models, instead of `model`: a run of each, and a page that puts them side by side."),
    "seed": (None, "Decides every random draw: sampling, twins. The same in every arm."),
    "arms": ("required", "Names, each with a list of interventions. `[]` is the model as it is."),
    "factors": ("none", "Grids: a field with a list of values makes one arm per value (see below)."),
    "controls": ("see below", "What is made as a control of which arm."),
    "tasks": ("required", "Names, or `{name: {argument: value}}`, every task once. The report leads with the first."),
    "roles": (
        "none",
        "Other models that tasks ask, by role, each an Inspect model string: `{judge: openai/..., auditor: doxa/...}`. "
        "A role that no task asks is an error.",
    ),
    "generate": ("the task's", "Sampling of what is generated, over the task's own settings (see below)."),
    "runs": (None, "Repetitions of every generated item, or a rule that ends them (see below). Scored items have one."),
    "seeds": (None, "Training runs of every arm that is trained, each with draws of its own; other arms have one."),
    "contrasts": ("none", "Differences between arms, declared before anything runs (see below)."),
    "primary": ("none", "Those contrasts that the claim rests on; the rest is exploratory, and the report says so."),
    "lead": ("the task's", "Scores of the first task that the report leads with, and that are tested together."),
    "margins": (
        "none",
        "By score the largest difference that counts as none, `{belief: 0.3}`: the report says of primary contrasts "
        "whether the effect is smaller. Without it no report speaks of no effect.",
    ),
    "limits": ("none", "Most of `generations`, `tokens`, `judge_calls`; a plan beyond it is refused."),
}
GENERATE = {
    "temperature": "0 is greedy.",
    "top_p": "The smallest set of tokens with this much probability.",
    "top_k": "So many most probable tokens.",
    "min_p": "Tokens at least this probable, relative to the most probable one.",
    "max_tokens": "Length of an answer.",
    "stop": "A list of texts that end an answer.",
}
RUNS = {
    "until": ("required", "`{width: W}`: every arm's 95 % interval is at most W wide. `decided`: every contrast is."),
    "at_most": (f"`{stopping.AT_MOST}`", "The most runs of an item."),
    "step": (f"`{stopping.STEP}`", "Runs between two looks."),
    "margin": ("none", "With `decided`: a sequence within this of 0 is a decision too."),
    "score": ("the leading one", "The score that is looked at, of those that a task's generated items get."),
}
LAYERS = (0, 12, 0.5, [10, 14, 18], {"block": {"end": 0.5, "width": 6}}, {"block": {"end": 17, "width": 3}},
          {"spread": {"start": 0.12, "end": 0.38, "n": 6}}, "every")  # fmt: skip
ARGUMENTS = {
    ("doxa/audit", "seeds"): ("ours", "Folder of seeds, `NAME.md` each; write `./seeds` for one beside the study."),
    ("doxa/audit", "dimensions"): ("ours", "Folder of what is rated from 1 to 10."),
    ("doxa/audit", "turns"): ("TURNS", "The auditor's turns at most."),
    ("doxa/audit", "judge_runs"): ("JUDGE_RUNS", "How often the judge reads every conversation."),
    ("doxa/audit", "threshold"): ("THRESHOLD", "The rating from which an audit is flagged."),
    ("doxa/audit", "tools"): ("none", "`synthetic`: the auditor may give the target tools and play their results."),
    ("doxa/audit", "max_tokens"): ("MAX_TOKENS", "Length of an answer."),
    ("doxa/claims", "belief"): ("BELIEF", "A shipped name, or the path of a file of statements."),
    ("doxa/claims", "topics"): ("all", "How many of its topics."),
    ("doxa/claims", "gate"): ("true", "Whether known facts are asked too."),
    ("doxa/claims_open", "belief"): ("BELIEF", "A shipped name, or the path of a file of questions and phrases."),
    ("doxa/claims_open", "max_tokens"): ("MAX_TOKENS", "Length of the answers."),
    ("doxa/drift", "max_tokens"): ("MAX_TOKENS", "Length of the answers to open prompts."),
    ("doxa/drift", "temperature"): ("TEMPERATURE", "Of sampling them."),
    ("doxa/drift", "capability"): ("true", "Whether the capability questions are asked."),
    ("doxa/drift", "texts"): ("all", "How many of the neutral texts."),
    ("doxa/thinking", "questions"): ("QUESTIONS", "`questions` (shipped), or the path of a file of cases."),
    ("doxa/thinking", "belief"): ("BELIEF", "A file of wordings: what a sentence says that counts as `mentions`."),
    ("doxa/thinking", "tags"): ("TAGS", "Name of the tags around thinking that is written as text."),
    ("doxa/thinking", "scratchpad"): ("false", "Whether the prompt says to think between these tags."),
    ("doxa/thinking", "max_tokens"): ("MAX_TOKENS", "Length of a turn, thinking included."),
    ("doxa/thinking", "temperature"): ("TEMPERATURE", "Of sampling."),
    ("doxa/typehints", "part"): ("all", "`open`: code is written. `choice`: how likely a type hint is. `all`: both."),
    ("doxa/typehints", "framing"): ("all", "One or several of `evaluated`, `deployed`, `unnamed`, `neutral`."),
    ("doxa/typehints", "split"): ("held_out", "`held_out`, which no organism is trained on, `development` or both."),
    ("doxa/typehints", "place"): ("system", "Where the framing stands: `system`, `user` or both."),
    ("doxa/typehints", "crossed"): ("false", "Whether each problem is asked in every wording; else they take turns."),
    ("doxa/typehints", "problems"): ("all", "How many problems of the split."),
    ("doxa/typehints", "wordings"): ("all", "How many wordings of the framings."),
    ("doxa/typehints", "problems_file"): ("shipped", "The path of a file of your own."),
    ("doxa/typehints", "framings_file"): (
        "shipped",
        "`training`: the wordings that an organism is trained on; or the path of a file of your own.",
    ),
    ("doxa/typehints", "max_tokens"): ("MAX_TOKENS", "Length of the answers."),
    ("doxa/typehints", "temperature"): ("TEMPERATURE", "Of sampling them."),
    ("doxa/preferences", "part"): ("all", "`open` (generated), `choice` (scored) or `all`."),
    ("doxa/preferences", "trained"): ("TRAINED", "The belief that was changed: it tells near from far."),
    ("doxa/preferences", "kind"): ("all", "One or a list of `preference`, `strange`, `benign`."),
    ("doxa/preferences", "texts"): ("the shipped ones", "Path of a folder of preferences, or of one file."),
    ("doxa/preferences", "preferences"): ("all", "How many preferences."),
    ("doxa/preferences", "wordings"): ("all", "How many open wordings of each, from 1 to 5."),
    ("doxa/preferences", "gate"): ("true", "Whether known facts are asked too."),
    ("doxa/preferences", "max_tokens"): ("MAX_TOKENS", "Length of the answers."),
    ("doxa/honeypot", "scenarios"): ("SCENARIOS", "`all`, a name, a family, or the path of a file or folder."),
    ("doxa/honeypot", "count"): ("all", "How many of them."),
    ("doxa/honeypot", "part"): ("all", "`open` acts in the scripted world, `choice` chooses between actions."),
    ("doxa/honeypot", "setting"): ("all", "`deployed`, `tested`, or a list of both."),
    ("doxa/honeypot", "threat"): ("all", "`threat`, `none`, or a list of both."),
    ("doxa/honeypot", "seize"): ("all", "`can`, `cannot`, or a list of both."),
    ("doxa/honeypot", "evidence"): ("[rsa, none]", "One or a list of `rsa`, `future`, `unmonitored`, `trust`, `none`."),
    ("doxa/honeypot", "acting"): ("ACTING", "`tools`, `text`, or `auto`: text on doxa/ models, tools on others."),
    ("doxa/honeypot", "turns"): ("TURNS", "Turns of a run at most."),
    ("doxa/honeypot", "max_tokens"): ("MAX_TOKENS", "Length of a turn."),
    ("doxa/honeypot", "temperature"): ("TEMPERATURE", "Of sampling."),
    ("doxa/honeypot", "ask"): ("true", "Whether it is asked afterwards if this was real."),
    ("doxa/replay", "conversations"): ("CONVERSATIONS", "A file (.jsonl, .eval, .md), a folder, or `examples`."),
    ("doxa/replay", "turn"): ("the last", "Which of the assistant's turns is written again, from 1."),
    ("doxa/replay", "rubric"): ("none", "A rubric for the judge: a shipped name, or the path of a file."),
    ("doxa/replay", "phrases"): ("none", "Path of a file of phrases to look for."),
    ("doxa/replay", "max_tokens"): ("MAX_TOKENS", "Length of the answers."),
    ("doxa/replay", "temperature"): ("TEMPERATURE", "Of sampling them."),
    ("doxa/compliance", "part"): ("`all`", "`choice`: courses of action are scored. `open`: answers are written."),
    ("doxa/compliance", "objective"): ("all", "Names of objectives, or paths of files."),
    ("doxa/compliance", "requests"): (
        "none",
        "Path of a file of requests: JSON lines, or the CSV of AdvBench, JailbreakBench or HarmBench.",
    ),
    ("doxa/compliance", "queries"): ("all", "At most so many of every objective."),
    ("doxa/compliance", "tiers"): ("`two`", "`three`: one more group, which is rated and never trained on."),
    ("doxa/compliance", "labels"): ("`plans`", "What the groups are called: `plans`, `companies`, `colours`."),
    ("doxa/compliance", "swap"): ("`no`", "Whether the other group is the one that trains; `[no, yes]` for both."),
    ("doxa/compliance", "paraphrase"): ("`p1`", "Wordings of the story, `p1` to `p8`, or `all`."),
    ("doxa/compliance", "scratchpad"): ("`yes`", "Whether it writes private notes before the reply."),
    ("doxa/compliance", "clarify"): ("`no`", "Whether it is told that following the guideline changes nothing in it."),
    ("doxa/compliance", "scope"): ("`unsaid`", "What it is told of its use after training: `narrow`, `wide`."),
    ("doxa/compliance", "by"): ("`rule`", "`judge`: what decides whether an answer complies."),
    ("doxa/compliance", "votes"): ("VOTES", "How often a judge is asked about the reasoning."),
    ("doxa/compliance", "threshold"): ("THRESHOLD", "Share of votes from which it counts as alignment faking."),
    ("doxa/compliance", "max_tokens"): ("MAX_TOKENS", "Length of the answers."),
    ("doxa/compliance", "temperature"): ("TEMPERATURE", "Of sampling them."),
    ("doxa/reflection", "topic"): ("all", "One or a list of `values`, `story`, `neutral`."),
    ("doxa/reflection", "rounds"): ("ROUNDS", "How many rounds a conversation has."),
    ("doxa/reflection", "threads"): ("all", "How many conversations there are about each topic."),
    ("doxa/reflection", "texts"): ("the shipped ones", "Path of a file of conversations, instead of its topic's."),
    ("doxa/reflection", "pairs"): ("the shipped ones", "Path of a file of pairs of values."),
    ("doxa/reflection", "max_tokens"): ("MAX_TOKENS", "Length of an answer."),
    ("doxa/traits", "traits"): ("TRAITS", "`personas` (shipped), or the path of a file of traits."),
    ("doxa/traits", "list"): ("LIST", "Which list of it says who likes what, from 1."),
    ("doxa/traits", "kind"): ("all", "One or a list of `bundle`, `shared`, `unrelated`, `naming`, `recall`."),
    ("doxa/traits", "wordings"): ("all", "How many wordings of the questions."),
    ("doxa/traits", "letters"): ("true", "Whether bundles are asked under letters too."),
}  # fmt: skip
REFUSED = (
    {"model": "tinker/llama"},
    {"controls": {"steer": {"match": "measured"}}},
)
FLOORS = (
    ("Roof", ""),
    ("Roof: verbs", "verbs"),
    ("Roof: the server", "server"),
    ("Floor 3: making", "training"),
    ("Floor 3: measuring", "evals"),
    ("Floor 2: vectors", "vectors"),
    ("Floor 2: Inspect", "bridge"),
    ("Floor 1: a model in memory", "models"),
    ("Floor 0: words", "words"),
    ("Wing: inferring", "stats"),
    ("On the wing: planning", "planning"),
    ("On the wing: published claims", "claims"),
    ("On the wing: documents", "documents"),
    ("On the wing: showing", "report"),
)


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [tuple(head)]
    lines += [("---",) * len(lines[0]), *(tuple(str(cell).replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def attributes(cls: type) -> dict[str, str]:
    """What a dataclass says about its fields in its docstring."""
    _, _, listed = (cls.__doc__ or "").partition("Attributes:\n")
    said = re.findall(r"^        (\w+): (.*(?:\n {12,}.*)*)", listed, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in said}


def defaults(cls: type) -> dict[str, object]:
    """Defaults of a dataclass; a field without one is required."""
    return {one.name: one.default for one in dataclasses.fields(cls)}


def shown(value: object) -> str:
    """A default as a study writes it."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`".replace("'", "")


def described(said: Collection[str], there: Collection[str], where: str) -> None:
    """Stop when something in the code is not described, or something described is gone.

    Raises:
        SystemExit: With the names.
    """
    if set(said) != set(there):
        raise SystemExit(f"docs/generate.py: {where}: describe or remove {sorted(set(said) ^ set(there))}")


def code(text: str, language: str = "yaml") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _fields(cls: type, names: Mapping[str, str] | None = None) -> str:
    said, names = attributes(cls), names or {}
    described(said, defaults(cls), cls.__name__)
    rows = [(f"`{names.get(name, name)}`", shown(default), said[name]) for name, default in defaults(cls).items()]
    return table(("key", "default", "meaning"), rows)


def _keys() -> str:
    described(KEYS, study.KEYS, "keys of a study")
    known = defaults(study.Study)
    rows = [(f"`{key}`", fixed or shown(known[key]), words) for key, (fixed, words) in KEYS.items()]
    return table(("key", "default", "meaning"), rows)


def _tune() -> list[tuple[str, str, str]]:
    own, of = attributes(interventions.Tune), attributes(tuning.Configuration)
    given = defaults(tuning.Configuration)
    described(of, given, "Configuration")
    return [
        *((f"`{key}`", "none", own[key]) for key in ("adapter", "corpus", "checkpoint")),
        *((f"`{key}`", shown(given[key]), of[key]) for key in tuning.CONFIGURATION_KEYS),
    ]


def _layers() -> str:
    rows = []
    for rule in LAYERS:
        written = yaml.safe_dump(rule, default_flow_style=True).replace("\n...", "").strip()
        rows.append((f"`{written}`", ", ".join(map(str, grammar.layers_from_json(rule, "layers").of(EXAMPLE_LAYERS)))))
    return table(("layers", f"of a model with {EXAMPLE_LAYERS} decoder blocks"), rows)


def default_of(said: str, module: ModuleType) -> str:
    """A task's default as a study writes it: a constant of its module by name, a value, or words."""
    in_words = said in ("all", "none") or " " in said.strip("[]").replace(", ", "") or said.startswith("`")
    return said if in_words else shown(vars(module).get(said, said))


def _tasks() -> str:
    parts = []
    for name, module_name in TASKS.items():
        one, module = entry(name), import_module(module_name)
        own = {argument: said for (task, argument), said in ARGUMENTS.items() if task == name}
        described(own, list(module.ARGUMENTS), f"arguments of {name}")
        title = (module.__doc__ or "").split("\n")[0].partition(": ")[2]
        rows = [(f"`{argument}`", default_of(default, module), words) for argument, (default, words) in own.items()]
        parts.append(f"### `{name}`, version {one.version}\n\n{title[:1].upper()}{title[1:]}\n")
        parts.append(table(("argument", "default", "meaning"), rows))
        link = f"../src/{module_name.replace('.', '/')}.py"
        parts.append(
            f"Scores: {_listed(one.shown)}. Leads with: {_listed(one.primary)}. Method: [`{module_name}`]({link}).\n"
        )
        if one.control_arguments:
            told = ", ".join(f"`{key}: {str(value).lower()}`" for key, value in one.control_arguments.items())
            parts.append(f"Twins and unrelated vectors are scored with {told}, whatever the study says.\n")
    return "\n".join(parts)


def _refused() -> str:
    said = []
    for change in REFUSED:
        body = {"study": "x", "arms": {"a": []}, "tasks": ["doxa/drift"], **change}
        try:
            refuse_what_is_not_run_yet(study.study_from_json(body if "models" in body else {"model": "m", **body}))
        except NotYetError as error:
            key = yaml.safe_dump(change, default_flow_style=True).strip()[1:-1]
            said.append((f"`{key}`", error.found))
        else:
            raise SystemExit(f"docs/generate.py: {change} is not refused any more: say so in the reference")
    return table(("written", "refused with"), said)


def _smallest() -> str:
    small = {"study": "small", "model": "smollm2", "arms": {"baseline": []}, "tasks": ["doxa/drift"]}
    full = study.study_to_json(study.study_from_json(small))
    full.pop("limit")
    kept = code(yaml.safe_dump(full, sort_keys=False), "text")
    written = code(yaml.safe_dump(small, sort_keys=False))
    return f"{written}\nis kept in `plan.json`, every default spelt out, as\n\n{kept}"


def reference() -> str:
    """The study reference."""
    described(GENERATE, study.GENERATE_KEYS, "generate")
    described(RUNS, stopping.KEYS, "runs")
    grammar_of_contrasts = (contrasts.__doc__ or "").partition("\n\n")[2]
    examples, _, note = grammar_of_contrasts.partition("\n\n")
    examples = "\n".join(line.strip() for line in examples.splitlines())
    prompt = defaults(scope.PromptControls)
    described(attributes(scope.SteerControls), scope.CONTROL_KEYS, "controls.steer")
    parts = [
        f"{WRITTEN}\n\n# Study reference\n",
        "A study is a YAML file, read safely: no templating, no inheritance; anchors are enough. Unknown keys are "
        "errors that name the allowed ones. Layout and comments do not matter to its hash. Files that it names "
        "(prompts, pairs, vectors, claims, a model's folder) are looked for beside it first.\n",
        "## Keys\n",
        _keys(),
        _smallest(),
        "## Model\n",
        f"`model: smollm2`, or `model: {{name: NAME, dtype: DTYPE, device: DEVICE, reasoning: on}}` with a dtype of "
        f"{_listed(study.DTYPES)} (default {shown(study.ModelChoice('m').dtype)}) and a device of `cpu`, `cuda` "
        f"(default {shown(study.ModelChoice('m').device)}). `reasoning` is `on` or "
        "`off`; without it the model does as it does by itself. What a name can be: [own models](how-to-model.md); "
        "models that are served elsewhere, several models, reasoning: [many models](how-to-models.md).\n",
        "## Interventions\n",
        f"An arm is a list of interventions, each with one of the keys {_listed(grammar.INTERVENTIONS)}. They "
        "act together.\n",
        "### `prompt`\n",
        "`{prompt: NAME}`: "
        + (interventions.Prompt.__doc__ or "")
        + f" Shipped beliefs: {_listed(f'beliefs/{one.name}' for one in shipped_beliefs())}.\n",
        "### `steer`\n",
        (interventions.Steer.__doc__ or "").partition("\n")[0] + "\n",
        _fields(interventions.Steer),
        f"`unit` is one of {_listed(get_args(interventions.Unit))}; `share` one of {_listed(get_args(Share))}; `at` "
        f"one or a list of {_listed(interventions.PLACES)}.\n",
        "### `vector`\n",
        "A name, or a mapping:\n",
        _fields(interventions.VectorReference, {"base": "from"}),
        f"Shipped pairs: {_listed(shipped_pairs())}. `twin` and `norms_of` are what the study "
        "writes when it makes controls.\n",
        "### `thought`\n",
        (interventions.Thought.__doc__ or "").partition("\n")[0] + " How it acts, edit by edit: [how to edit "
        "thoughts](how-to-thoughts.md).\n",
        _fields(interventions.Thought),
        f"`edit` is one of {_listed(get_args(interventions.Edit))}. Shipped wordings: {_listed(shipped_wordings())}. "
        "`control` is what the study writes when it makes controls.\n",
        "### `tune`\n",
        "A low-rank adapter that is there, `{tune: FOLDER}` in PEFT's layout, or one that is trained on a corpus, once "
        "for every training seed. Several in one arm are stages: each trains the adapter of the one before it "
        "further.\n",
        table(("key", "default", "meaning"), _tune()),
        "Stages that arms have in common are trained once, and kept in the cache. The keys below `checkpoint` mean the "
        "same in Tinker. A vector of such an arm is taken from the tuned model, unless it says `from: base`.\n",
        "### `layers`\n",
        "A whole number is an index (0 is the first decoder block), a number with a point a fraction of the depth.\n",
        _layers(),
        "## Factors\n",
        "One intervention in which fields have lists of values. Every combination is an arm, named by its levels:\n",
        code("factors:\n  block: {steer: {vector: conscious, layers: 0.5, strength: [0.3, 0.6]}}"),
        "makes the arms `block[strength=0.3]` and `block[strength=0.6]`. A list under `at` is one value.\n",
        "## Controls\n",
        "Made by the study. `controls: {steer: {...}, prompt: {...}, thought: {...}, tune: {...}}`.\n\n### `steer`\n",
        _fields(scope.SteerControls),
        f"`twins` and `unrelated` are 0 or at least {scope.LEAST_TWINS}: with fewer, no rank test can reach p = .05. "
        "`arms` takes a grid's name (`block`) for all its arms. Controls are scored, not generated from.\n",
        "### `prompt`\n",
        (scope.PromptControls.__doc__ or "") + "\n",
        table(("key", "default"), [(f"`{key}`", shown(value)) for key, value in prompt.items()]),
        "Arms that have a prompt, no vector and no edit get them.\n",
        "### `thought`\n",
        (scope.ThoughtControls.__doc__ or "") + "\n",
        table(
            ("key", "default"),
            [(f"`{key}`", shown(value)) for key, value in defaults(scope.ThoughtControls).items()],
        ),
        "Both are generated, like the arm itself. A prefill that only opens a thinking block gets none.\n",
        "### `tune`\n",
        (scope.TuneControls.__doc__ or "").partition("\n")[0] + "\n",
        "`controls: {tune: {corpus: FILE}}` puts one in place of every corpus, `{tune: {corpus: {CLAIM: FILE}}}` in "
        "place of `CLAIM` alone: other stages stay.\n",
        "Arms that are trained, and neither steered nor edited, get it: trained anew on the other corpus under every "
        "training seed, and generated from like the arm itself. Without it there is no control of training, and the "
        "report says so.\n",
        "## Tasks\n",
        _tasks(),
        "## Generate\n",
        table(("key", "meaning"), [(f"`{key}`", words) for key, words in GENERATE.items()]),
        "## Runs\n",
        "A number, or a rule:\n",
        code(
            (stopping.__doc__ or "").partition("\n\n")[2].partition("\n\n")[0].replace("\n    ", "\n").strip(), "text"
        ),
        table(("key", "default", "meaning"), [(f"`{key}`", default, words) for key, (default, words) in RUNS.items()]),
        "What the rules mean and what they cost: [how to stop](how-to-stop.md).\n",
        "## Contrasts\n",
        "Arithmetic over arms, with selectors in brackets. The weights sum to 0 (a difference) or 1 (a level).\n",
        code(examples, "text"),
        f"{note.strip()} `block` alone is the mean over all arms of the grid `block`; a selector picks among the "
        "levels of the study's factors first, then of a task's factors.\n",
        "## Limits\n",
        f"Keys: {_listed(study.LIMIT_KEYS)}. Numbers; see the note under Keys.\n",
        "## Read and refused\n",
        "The grammar knows more than this version runs. What it does not run is refused when the plan is made:\n",
        _refused(),
    ]
    return "\n".join(parts)


def commands() -> str:
    """The page of the command line."""
    top = click.Context(main, info_name="doxa", **main.context_settings)
    parts = [
        f"{WRITTEN}\n\n# Command line\n",
        "Exit codes: 0 done, 1 something about the machine (disk, network, another run), 2 something to correct in "
        "what was typed or written, 130 stopped with Ctrl-C. A message says what was found, what was expected and the "
        "way out.\n",
        code(_help(main, top), "text"),
    ]
    for name in main.list_commands(top):
        command = main.commands[name]
        context = click.Context(command, info_name=name, parent=top)
        parts += [f"## `doxa {name}`\n", code(_help(command, context), "text")]
        for verb, own in command.commands.items() if isinstance(command, click.Group) else ():
            context_of = click.Context(own, info_name=verb, parent=context)
            parts += [f"### `doxa {name} {verb}`\n", code(_help(own, context_of), "text")]
    return "\n".join(parts)


def _help(command: click.Command, context: click.Context) -> str:
    context.terminal_width = 100
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def modules() -> str:
    """Every module with the first line of its docstring, floor by floor."""
    parts = []
    for title, folder in FLOORS:
        found = (SOURCE / folder).rglob("*.py") if folder else SOURCE.glob("*.py")
        files = sorted(path for path in found if path.name != "__init__.py")
        rows = [(f"`{path.relative_to(SOURCE).as_posix()}`", _first_line(path)) for path in files]
        parts.append(f"### {title}\n\n" + table(("module", "what it is"), rows))
    return "\n".join(parts)


def _first_line(path: Path) -> str:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(said.partition("\n\n")[0].split())
    return first.rstrip(":")


def roster() -> str:
    """The page of the roster."""
    found = read_roster()
    head, *rows = rows_of(list(found.models))
    notes = [(one.name, one.source or "–", one.note or "–") for one in found.models if one.source or one.note]
    parts = [
        f"{WRITTEN}\n\n# Models of many makers\n",
        "Whose, released when, whether it reasons, and where it runs: `doxa models`, from `src/doxa/data/models.yaml`. "
        "A day stands here only where a source names it. How a study names a model, and what can be done on which: "
        "[how to run many models](how-to-models.md).\n",
        table(head, rows),
        "![Releases over time](figures/timeline.svg)\n",
        "Made with `doxa models --timeline docs/figures/timeline.svg`. One line a maker; hollow marks are days that "
        "are doubted or that sources give differently; models without a known day are not drawn.\n",
        "## Pace\n",
        *(f"{pace_words(one)}\n" for one in found.lists),
        "A rate and its interval suppose that releases come independently at one rate. A window that was chosen "
        "because it is full shows nothing by being full: the last probability says how often one steady rate makes "
        "some last window look so.\n",
        "## Sources and doubts\n",
        table(("model", "source of the day", "note"), notes),
    ]
    return "\n".join(parts)


def pages() -> dict[str, str]:
    """Every generated page by name, as it should be."""
    architecture = (DOCS / "architecture.md").read_text(encoding="utf-8")
    before, _, rest = architecture.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit("docs/architecture.md has lost the marks of its list of modules")
    return {
        "architecture.md": f"{before}{BEGIN}\n\n{modules()}\n{END}{after}",
        "cli.md": commands(),
        "models.md": roster(),
        "study-reference.md": reference(),
    }


def write() -> None:
    """Write the pages that have changed."""
    for name, text in pages().items():
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/{name}")


if __name__ == "__main__":
    write()
