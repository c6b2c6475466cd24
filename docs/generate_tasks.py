"""Write `docs/tasks/`, a page a task and a list of them, from the code and the texts: `python docs/generate_tasks.py`.

A page holds the task's method (the docstring of its module), its arguments and scores, and every text that it asks and
scores with, to the letter, with version and hash.
"""

from importlib import import_module
from pathlib import Path

from generate import ARGUMENTS, WRITTEN, default_of, table

from doxa.evals.catalogue import TASKS, TaskEntry, entry
from doxa.lint import DATA
from doxa.words.prose import Prose, read_prose
from doxa.words.schema import Derivation

FOLDER = Path(__file__).parent / "tasks"
KINDS = {"binary": "0 or 1", "share": "0 to 1"}


def texts(one: TaskEntry) -> list[tuple[str, Prose]]:
    """The texts of a task, with their paths below the shipped data."""
    paths = sorted({path for pattern in one.prose for path in DATA.glob(pattern)})
    return [(path.relative_to(DATA).as_posix(), read_prose(path, allowed=None, required=())) for path in paths]


def page(name: str) -> str:
    """The page of a task."""
    one, module = entry(name), import_module(TASKS[name])
    first, _, method = (module.__doc__ or "").partition("\n\n")
    title = first.partition(": ")[2]
    mark = f"{WRITTEN}".replace("docs/generate.py", "docs/generate_tasks.py")
    parts = [f"{mark}\n\n# `{name}`\n", f"{title[:1].upper()}{title[1:]} (version {one.version})\n"]
    parts += ["## Method\n", f"{method.rstrip()}\n", "## Arguments\n"]
    known = [(argument, *said) for (task, argument), said in ARGUMENTS.items() if task == name]
    rows = [(f"`{argument}`", default_of(default, module), words) for argument, default, words in known]
    parts.append(table(("argument", "default", "meaning"), rows))
    parts += ["## Scores\n", table(("score", "values", "leads the report", "made of"), scores(one))]
    found = texts(one)
    if found:
        parts += ["## Texts\n", "What the task asks and scores with, to the letter.\n"]
        parts.append(table(("text", "version", "hash", "licence"), [row(path, prose) for path, prose in found]))
        parts += [letter(path, prose) for path, prose in found]
    return "\n".join(parts)


def scores(one: TaskEntry) -> list[tuple[str, str, str, str]]:
    """A row for every score."""
    made = {derivation.score: formula(derivation) for derivation in one.derivations}
    names = dict.fromkeys([*one.primary, *one.shown, *made])
    return [
        (
            f"`{name}`",
            KINDS.get(one.kinds.get(name, ""), "a number"),
            "yes" if name in one.primary else "",
            made.get(name, ""),
        )
        for name in names
    ]


def formula(derivation: Derivation) -> str:
    """What a derived score is made of."""
    terms = []
    for weight, levels in derivation.terms:
        selected = ", ".join(f"{factor}={level}" for factor, level in levels)
        sign = "−" if weight < 0 else "+" if terms else ""
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        terms.append(f"{sign} {size}`{derivation.source}[{selected}]`".strip())
    return f"{' '.join(terms)}, of each {derivation.unit}"


def row(path: str, prose: Prose) -> tuple[str, str, str, str]:
    """A row of the list of texts."""
    meta = prose.meta
    return f"`{path}`", str(meta.get("version", "")), f"`{prose.hash[:8]}`", str(meta.get("license", ""))


def letter(path: str, prose: Prose) -> str:
    """A text, to the letter, folded."""
    own = "\n".join(f"{key}: {value}" for key, value in prose.meta.items())
    fence = "`" * 4
    block = f"{fence}text\n{own}\n\n{prose.body}\n{fence}"
    return f"<details><summary><code>{path}</code></summary>\n\n{block}\n\n</details>\n"


def index() -> str:
    """The list of the tasks."""
    mark = f"{WRITTEN}".replace("docs/generate.py", "docs/generate_tasks.py")
    rows = []
    for name, module_name in TASKS.items():
        one, first = entry(name), (import_module(module_name).__doc__ or "").partition("\n")[0].partition(": ")[2]
        leads = ", ".join(f"`{score}`" for score in one.primary)
        rows.append((f"[`{name}`]({file_of(name)})", first[:1].upper() + first[1:], leads, len(texts(one))))
    said = (
        "Every task is an Inspect task (`inspect eval doxa/drift --model ...`) and can be named in a study. Its page "
        "has the method, the arguments, the scores, and the texts to the letter.\n"
    )
    return "\n".join([f"{mark}\n\n# Tasks\n", said, table(("task", "what it measures", "leads with", "texts"), rows)])


def file_of(name: str) -> str:
    """The file of a task's page."""
    return f"{name.removeprefix('doxa/')}.md"


def pages() -> dict[Path, str]:
    """Every page."""
    return {FOLDER / "README.md": index()} | {FOLDER / file_of(name): page(name) for name in TASKS}


def main() -> None:
    """Write those that are not as they should be, and take away those of tasks that are gone."""
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path, text in made.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/tasks/{path.name}")
    for path in FOLDER.glob("*.md"):
        if path not in made:
            path.unlink()
            print(f"removed docs/tasks/{path.name}")


if __name__ == "__main__":
    main()
