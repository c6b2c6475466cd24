"""The docs say what is so: generated pages are fresh, commands parse, files that a page shows are read."""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

from doxa.cli import main, study_named
from doxa.evals.claims import measured
from doxa.shipped import STUDIES
from doxa.training.recipe import read_recipe
from doxa.training.recipe_inputs import read_inputs
from doxa.vectors.pairs import load_pairs
from doxa.words.arms import arm_from_json
from doxa.words.beliefs import read_belief
from doxa.words.controls import controls_of
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt, Steer
from doxa.words.study import read_study, study_from_json

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md")) + [ROOT / name for name in ("README.md", "AGENTS.md", "CHANGELOG.md")]
FENCED = re.compile(r"^```(\w*)[^\S\n]*([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^|\n\n)((?: {4}[^\n]+\n?)+)")


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, _, text in FENCED.findall(path.read_text(encoding="utf-8")) if kind == language]


def commands(path: Path) -> Iterator[str]:
    """Every `doxa ...` in a page, in a code block or between backticks; `cli.md` shows usage, not commands."""
    text = path.read_text(encoding="utf-8")
    prose = FENCED.sub("", text)
    lines = [line for block in INDENTED.findall(prose) for line in block.splitlines()]
    lines += [
        line for kind, _, block in FENCED.findall(text) if kind in ("", "bash", "sh") for line in block.splitlines()
    ]
    if path.name == "cli.md":
        lines = [line for line in text.splitlines() if line.startswith("    doxa")]
    lines += re.findall(r"`(doxa [^`\n]+)`", prose)
    for line in lines:
        for part in re.split(r"&&|;|\s{3,}#|\s{3,}(?=doxa )", line):
            if part.strip().startswith("doxa "):
                yield part.strip()


def check_command(line: str) -> None:
    """Parse a command without running it; a bare verb is a mention of it.

    Raises:
        click.UsageError: When click would refuse it.
        StudyError: When it names a shipped study or an arm that is not there.
    """
    _, first, *rest = shlex.split(line)
    if first.startswith("-"):
        assert first in ("--help", "-h", "--version"), line
        return
    if first not in main.commands:
        raise click.UsageError(f"no verb {first}")
    if not rest:
        return
    command, parent = main.commands[first], click.Context(main, **main.context_settings)
    if isinstance(command, click.Group):
        parent, (first, *rest) = click.Context(command, info_name=first, parent=parent), rest
        if first not in command.commands:
            raise click.UsageError(f"no verb {first}")
        command = command.commands[first]
        if not rest:
            return
    context = command.make_context(first, list(rest), parent=parent)
    name = context.params.get("study")
    if name is not None and not name.isupper() and not name.endswith(".yaml"):
        study = study_named(name)
        for key in ("arm", "a", "b"):
            if key in context.params:
                study.arm(context.params[key])


COMMANDS = sorted({(path.name, line) for path in PAGES for line in commands(path)})
PYTHON = [(path.name, text) for path in PAGES for text in blocks(path, "python")]
YAML = [(path.name, text) for path in PAGES for text in blocks(path, "yaml")]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["architecture.md", "cli.md", "models.md", "study-reference.md"])
def test_generated_pages_are_fresh(generator: ModuleType, name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generator.pages()[name], "stale: run `python docs/generate.py`"


def test_every_generated_page_is_checked(generator: ModuleType) -> None:
    assert sorted(generator.pages()) == ["architecture.md", "cli.md", "models.md", "study-reference.md"]


def test_a_key_that_is_not_described_stops_the_generator(generator: ModuleType) -> None:
    with pytest.raises(SystemExit, match="new_key"):
        generator.described(generator.KEYS, [*generator.KEYS, "new_key"], "keys")


def test_every_module_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    source = ROOT / "src" / "doxa"
    there = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if path.name != "__init__.py"}
    assert set(re.findall(r"^\| `([\w/]+\.py)` \| \S", page, re.MULTILINE)) == there


def test_the_pages_show_commands() -> None:
    lines = {line for _, line in COMMANDS}
    assert {"doxa run first", "doxa plan first", "doxa report results/first"} <= lines
    assert len(lines) >= 15


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_parse(page: str, line: str) -> None:
    check_command(line)


@pytest.mark.parametrize(
    "line",
    [
        "walk first",
        "corpus sow x.jsonl",
        "corpus show x.jsonl --fast",
        "run first --fast",
        "run frist",
        "diff first block",
        'dose first "no-such-arm"',
        "--fast",
    ],
)
def test_a_wrong_command_is_seen(line: str) -> None:
    with pytest.raises((click.UsageError, StudyError, AssertionError)):
        check_command(f"doxa {line}")


def test_inspect_commands_name_what_is_registered() -> None:
    found = {
        name for path in PAGES for name in re.findall(r"inspect eval doxa/(\w+)", path.read_text(encoding="utf-8"))
    }
    registered = (ROOT / "src" / "doxa" / "bridge" / "_registry.py").read_text(encoding="utf-8")
    assert {"claims", "drift"} <= found
    assert all(f"\ndef {name}(" in registered for name in found)


@pytest.mark.parametrize(("page", "text"), YAML)
def test_study_files_are_read(page: str, text: str, tmp_path: Path) -> None:
    data = yaml.safe_load(text)
    if "writer" in data:
        (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
        assert read_inputs(read_recipe(tmp_path / "mine.yaml")).hashes
    elif "study" in data:
        assert study_from_json(data).arms
    else:
        whole = {"study": "x", "model": "smollm2", "arms": {"baseline": []}, "tasks": ["doxa/drift"], **data}
        assert study_from_json(whole).arms


def test_the_named_grid_makes_the_arms_that_the_reference_says(generator: ModuleType) -> None:
    page = generator.reference()
    text = page.partition("## Factors")[2].partition("```yaml\n")[2].partition("```")[0]
    whole = {"study": "x", "model": "m", "arms": {"b": []}, "tasks": ["doxa/drift"], **yaml.safe_load(text)}
    named = re.search(r"makes the arms `(.+?)` and `(.+?)`", page)
    assert named is not None
    assert {arm.name for arm in study_from_json(whole).arms} == {"b", *named.groups()}


@pytest.fixture
def own_belief(tmp_path: Path) -> Path:
    """The files that `how-to-belief.md` shows, as files."""
    text = (ROOT / "docs" / "how-to-belief.md").read_text(encoding="utf-8")
    for _, info, body in FENCED.findall(text):
        if info.startswith("file="):
            path = tmp_path / info.removeprefix("file=")
            path.parent.mkdir(exist_ok=True)
            path.write_text(body, encoding="utf-8")
    return tmp_path


def test_the_belief_of_the_how_to_is_whole(own_belief: Path) -> None:
    study = read_study(own_belief / "patient.yaml")
    controls = controls_of(study)
    prompts = [one.text for arm in (*study.arms, *controls) for one in arm.interventions if isinstance(one, Prompt)]
    texts = {read_belief(prompt, study.folder).text for prompt in prompts}
    assert sorted(prompts) == ["cold.md", "cold.md#neutral", "cold.md#paraphrase-1"]
    assert len(texts) == 3
    vectors = {one.vector.name for arm in study.arms for one in arm.interventions if isinstance(one, Steer)}
    assert vectors == {"pairs/cold.md"}
    assert len(load_pairs("pairs/cold.md", study.folder).pairs) == 4


def test_the_statements_of_the_how_to_are_read(own_belief: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_belief)
    task = read_study(Path("patient.yaml")).tasks[0]
    items = measured({**task.arguments, "gate": False})
    assert len({item.factors["topic"] for item in items}) == 4
    assert len(items) == 16


def test_arm_files_are_read() -> None:
    texts = [text for path in PAGES for text in blocks(path, "json")]
    assert texts
    for text in texts:
        assert arm_from_json(json.loads(text), "the page").interventions


@pytest.mark.parametrize(("page", "text"), PYTHON)
def test_python_compiles_and_imports_what_exists(page: str, text: str) -> None:
    tree = ast.parse(text)
    compile(tree, page, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("doxa"):
            module = importlib.import_module(node.module or "")
            assert [name.name for name in node.names if name.name not in vars(module)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_relative_links_resolve(path: Path) -> None:
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            found = (path.parent / file) if file else path
            assert found.exists(), target
            if heading:
                titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_page_names_a_place_on_one_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"(?<![\w.])/(?:home|tmp|work|root|Users|opt|mnt)/\S*|\b[A-Z]:\\\S*", text)


def test_the_tutorial_follows_the_shipped_study() -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    first = study_named("first")
    assert (STUDIES / "first.yaml").exists()
    assert [task.name for task in first.tasks] == ["doxa/claims", "doxa/drift"]
    for arm in re.findall(r'"(\w+\[[^\]"]+\])"', page):
        assert first.arm(arm)


def test_the_tutorial_names_the_figures_of_the_report() -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/doxa/report").glob("*.py")))
    drawn = set(re.findall(r'\bname="([\w-]+)"', source))
    assert drawn
    assert set(re.findall(r"^\| `([\w-]+)` \| ", page.partition("figure |")[2].partition("**Points")[0], re.M)) == drawn


PUBLISHED = ROOT / "docs" / "studies"


@pytest.mark.parametrize("name", sorted(one.name for one in PUBLISHED.iterdir() if (one / "plan.json").is_file()))
def test_a_published_study_has_a_section_with_its_command_and_summary(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    publish = importlib.import_module("publish_study")
    page = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    assert publish.with_summary(page, name) == page
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    report = (PUBLISHED / name / "report.md").read_text(encoding="utf-8")
    for value, interval in re.findall(r"([+−][\d.]+) (\[[^\]]+\])(?!\()", section):
        assert f"{value} | {interval} |" in report
    said = section.partition("<!-- summary")[0]
    for value in re.findall(r"(?<![\w.-])[+−]\d+(?:\.\d+)?", said):
        assert f" {value} " in f" {report} ".replace("**", " ").replace("[", " ").replace("]", " ").replace(",", " ")
    study = json.loads((PUBLISHED / name / "plan.json").read_text(encoding="utf-8"))["study"]
    (line,) = re.findall(rf"^    doxa run {re.escape(name)}(?: .*)?$", page, re.MULTILINE)
    asked = dict(zip(line.split()[3::2], line.split()[4::2], strict=True))
    assert asked.get("--limit") == (None if study.get("limit") is None else str(study["limit"]))
    shipped = yaml.safe_load((ROOT / "src/doxa/data/studies" / f"{name}.yaml").read_text(encoding="utf-8"))
    for option in ("runs", "seeds"):
        assert int(asked.get(f"--{option}", shipped.get(option, 1))) == study[option]
