"""The command line: every verb is a function of the package with the same name."""

import io
import json
import sys
from pathlib import Path

import click

from doxa import __version__
from doxa.progress import shown_progress
from doxa.shipped import study_named
from doxa.verbs.check import check
from doxa.verbs.comment import comment
from doxa.verbs.compare import compare, table
from doxa.verbs.corpus import corpus
from doxa.verbs.in_words import PATH, in_words
from doxa.verbs.labels import labels
from doxa.verbs.lint import lint
from doxa.verbs.models import models
from doxa.verbs.power import power
from doxa.verbs.tinker_serve import tinker_serve
from doxa.verbs.tune import tune
from doxa.words.errors import EnvironmentFault, ResultsError, StudyError, nearest
from doxa.words.reading import listed_numbers
from doxa.words.study import with_overrides


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="doxa")
def main() -> None:
    """Change what a language model believes. See what it then does. Know whether to trust the difference.

    Start with:  doxa run first
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no dash or arrow shows a question mark


main.add_command(lint)
main.add_command(power)


@main.command()
@click.argument("study")
@click.option("--runs", type=int, help="Repetitions of every generated item, instead of the study's.")
@click.option("--seeds", type=int, help="Training seeds of every trained arm, instead of the study's.")
@click.option("--limit", type=int, help="At most so many items of every task: a quick try.")
@click.option("--out", type=PATH, help="Results folder; results/STUDY by default.")
@in_words
def run(study: str, runs: int | None, seeds: int | None, limit: int | None, out: Path | None) -> None:
    """Run a study to its report; go on where an earlier run stopped.

    \b
    Example:
        doxa run first
        doxa run my-study.yaml --limit 4 --out results/try
    """
    from doxa.models_run import run as run_study

    specification = with_overrides(study_named(study), runs=runs, seeds=seeds, limit=limit)
    folder = out or Path("results") / specification.name
    with shown_progress() as progress:
        report = run_study(specification, folder, progress=progress)
    click.echo(
        (folder / "summary.txt").read_text(encoding="utf-8").rstrip() if (folder / "summary.txt").exists() else ""
    )
    click.echo(f"\nreport: {report}")


@main.command()
@click.argument("study")
@click.option("--runs", type=int, help="Repetitions of every generated item, instead of the study's.")
@click.option("--seeds", type=int, help="Training seeds of every trained arm, instead of the study's.")
@click.option("--limit", type=int, help="At most so many items of every task.")
@click.option("--probe/--no-probe", default=True, help="Time a few rows, and compare the precision with float32.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def plan(study: str, runs: int | None, seeds: int | None, limit: int | None, probe: bool, as_json: bool) -> None:
    """Show what a study would run, how long it takes and what it can detect, before anything runs.

    \b
    Example:
        doxa plan first
    """
    from doxa.models.handle import Model
    from doxa.models_run import check_all, studies_of
    from doxa.precision import precision_lines, precision_of, precision_to_json
    from doxa.probe import estimate_minutes, summary
    from doxa.run import load_and_plan

    specification = with_overrides(study_named(study), runs=runs, seeds=seeds, limit=limit)
    check_all(specification)
    texts, facts = [], []
    for one in studies_of(specification):
        model, laid_out = load_and_plan(one)
        minutes = estimate_minutes(laid_out, model) if probe and isinstance(model, Model) else None
        precision = precision_of(laid_out, model) if probe else None
        found = summary(laid_out, minutes)
        measured = None if precision is None else precision_to_json(precision)
        facts.append({**found.facts, "precision": measured})
        texts.append("\n".join([found.text, *(precision_lines(laid_out, precision) if probe else [])]))
    if as_json and len(facts) > 1:
        labels = [one.label for one in specification.models]
        facts = [{"models": dict(zip(labels, facts, strict=True))}]
    click.echo(json.dumps(facts[0], indent=1, allow_nan=False) if as_json else "\n\n".join(texts))


@main.command()
@click.argument("folder", type=PATH)
@in_words
def report(folder: Path) -> None:
    """Write the report of a results folder again, from its table and plan alone.

    \b
    Example:
        doxa report results/first
    """
    from doxa.report.models_page import SUMMARY, write_models_page
    from doxa.report.page import write_report
    from doxa.report.sweep_page import RESULT, write_sweep_page

    try:
        found = _results(folder)
        write = write_sweep_page if (found / RESULT).is_file() else write_report
        report = (write_models_page if (found / SUMMARY).is_file() else write)(found)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ResultsError(
            f"the files in {folder} do not fit together ({type(error).__name__}: {error})",
            expected="a results folder as `doxa run` left it",
            way_out="Run the study again: it makes what is missing anew",
        ) from error
    click.echo(f"report: {report}")


@main.command()
@click.argument("study")
@click.argument("arm")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def dose(study: str, arm: str, as_json: bool) -> None:
    """Show what an arm adds to the residual stream at every layer: planned, and measured where it arrives.

    \b
    Example:
        doxa dose first "block[strength=0.6]"
    """
    from doxa.probe import dose_table

    rows, text = dose_table(study_named(study), arm)
    click.echo(json.dumps(rows, indent=1) if as_json else text)


@main.command()
@click.argument("study")
@click.argument("arm")
@click.option("--strengths", help="Strengths, with commas; by default -1, 1/2, 1 and 2 times the arm's own.")
@click.option("--widths", default="1", show_default=True, help="Layers of a block, with commas; 1 is single layers.")
@click.option("--task", help="The task to measure with; the study's first by default.")
@click.option("--twins", type=int, default=19, show_default=True, help="Twins through the whole sweep; 0 for none.")
@click.option("--limit", type=int, help="At most so many items: a quick try.")
@click.option("--out", type=PATH, help="Results folder; results/STUDY-sweep-ARM by default.")
@click.option("--plan", "only_plan", is_flag=True, help="Say how much there is to do and how long it takes, and stop.")
@in_words
def sweep(
    study: str,
    arm: str,
    strengths: str | None,
    widths: str,
    task: str | None,
    twins: int,
    limit: int | None,
    out: Path | None,
    only_plan: bool,
) -> None:
    """Sweep an arm over layers and strengths, and say what holds of the best cell of many.

    \b
    Example:
        doxa sweep first "block[strength=0.6]" --strengths 0.3,0.6
        doxa sweep first "block[strength=0.6]" --strengths 0.6 --widths 1,3,6
    """
    from doxa.probe import estimate_minutes
    from doxa.sweep import plan_sweep, run_sweep

    specification = with_overrides(study_named(study), runs=None, limit=limit)
    model, laid_out, planned = plan_sweep(
        specification,
        arm,
        task=task,
        strengths=listed_numbers(strengths, "--strengths", float) if strengths else (),
        widths=listed_numbers(widths, "--widths", int),
        twins=twins,
    )
    folder = out or Path("results") / laid_out.study.name
    arms = len(planned.arms) + len(planned.controls)
    click.echo(f"{len(laid_out.cells)} cells and their {twins} twins: {arms} arms on {planned.entries[0].name}")
    if only_plan:
        click.echo(f"about {estimate_minutes(planned, model)['total']:.0f} minutes")
        return
    options = [f'doxa sweep {study} "{arm}"', f"--strengths {strengths}" if strengths else ""]
    options += [f"--widths {widths}" if widths != "1" else "", f"--task {task}" if task else ""]
    options += [f"--twins {twins}" if twins != 19 else "", f"--limit {limit}" if limit else ""]
    with shown_progress() as progress:
        page = run_sweep(model, laid_out, planned, folder, " ".join(filter(None, options)), progress=progress)
    click.echo((folder / "summary.txt").read_text(encoding="utf-8").rstrip())
    click.echo(f"\npage: {page}")


@main.command()
@click.argument("study")
@click.argument("a")
@click.argument("b")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def diff(study: str, a: str, b: str, as_json: bool) -> None:
    """Print everything that differs between two arms of a study.

    \b
    Example:
        doxa diff first "block[strength=0.6]" "every[strength=0.6]"
    """
    from doxa.words.difference import differences
    from doxa.words.stages import is_trained

    specification = study_named(study)
    first, second = specification.arm(a), specification.arm(b)
    if is_trained(first) or is_trained(second):
        from doxa.training_plan import facts_of  # loads the model: tokens are counted by its tokenizer

        found = differences(first, second, facts_of(specification, first, second))
    else:
        found = differences(first, second)
    if as_json:
        click.echo(json.dumps([vars(one) for one in found], indent=1))
        return
    if not found:
        click.echo(f"{a} and {b} do the same thing.")
    for one in found:
        click.echo(f"{one.where}: {one.a}  |  {one.b}")


@main.command()
@click.argument("study")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; this machine alone.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--out", type=PATH, help="Results folder with the arms; results/STUDY by default.")
@click.option("--transcripts", type=PATH, help="Append what is asked and answered to a file in the results folder.")
@click.option("--token-file", type=PATH, help="A token of your own; or set DOXA_TOKEN. One is made otherwise.")
@click.option("--queue", type=click.IntRange(1), default=2048, show_default=True, help="Answers in the house at most.")
@click.option(
    "--memory",
    type=click.FloatRange(0, min_open=True),
    default=4.0,
    show_default=True,
    help="GiB for texts that are being written.",
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Another name that clients call this machine by.")
@in_words
def serve(
    study: str,
    host: str,
    port: int,
    out: Path | None,
    transcripts: Path | None,
    token_file: Path | None,
    queue: int,
    memory: float,
    allow_host: tuple[str, ...],
) -> None:
    """Serve every arm of a study as a model of an OpenAI-compatible server, and a page that compares them.

    \b
    Example:
        doxa serve first
        doxa serve first --port 9000 --transcripts chats.jsonl
    """
    specification = study_named(study)
    try:
        from doxa.server.serving import Settings, bound, given_token
        from doxa.server.serving import serve as serve_arms
        from doxa.server.study_arms import open_arms
    except ModuleNotFoundError as error:
        raise EnvironmentFault(f"{error.name} is not installed", way_out="pip install 'doxa[serve]'") from error

    names = tuple(name.lower() for name in allow_host)
    settings = Settings(host, port, queue, memory, given_token(token_file), names, transcripts)
    with bound(host, port) as listener:
        with shown_progress() as progress:
            arms = open_arms(specification, out or Path("results") / specification.name, progress)
        serve_arms(arms, listener, settings, click.echo)


@main.command()
@click.argument("pairs")
@click.option(
    "--model", "model_name", default="smollm2", show_default=True, help="Model to read the residual stream of."
)
@click.option("--method", type=click.Choice(["mean", "pca"]), default="mean", show_default=True)
@click.option("--out", type=PATH, required=True, help="Folder to write the vector to.")
@click.option("--gguf", type=PATH, help="Write it as a llama.cpp control vector as well.")
@in_words
def vector(pairs: str, model_name: str, method: str, out: Path, gguf: Path | None) -> None:
    """Extract a vector from contrast pairs and save it.

    \b
    Example:
        doxa vector conscious --out vectors/conscious --gguf conscious.gguf
    """
    from doxa.probe import make_vector

    click.echo(make_vector(pairs, model_name, method, out, gguf))


@main.command()
@in_words
def tasks() -> None:
    """List the tasks that a study can name.

    \b
    Example:
        doxa tasks
    """
    from doxa.evals.catalogue import TASKS, entry

    for name in TASKS:
        one = entry(name)
        click.echo(f"{name}  version {one.version}; leads with {', '.join(one.primary)}")


@main.command()
@in_words
def beliefs() -> None:
    """List the beliefs that doxa ships.

    \b
    Example:
        doxa beliefs
    """
    from doxa.words.beliefs import shipped_beliefs

    for one in shipped_beliefs():
        click.echo(f"{one.name:14s} {one.belief}")


def _results(folder: Path) -> Path:
    if folder.is_dir():
        return folder
    named = Path("results") / folder
    if named.is_dir():
        return named
    known = [one.name for one in Path("results").glob("*") if one.is_dir()]
    way_out = nearest(str(folder), known) if known else "Name the folder that `doxa run` wrote (its --out)"
    raise StudyError(f"no results folder {folder}", way_out=way_out)


main.add_command(check)
main.add_command(comment)
main.add_command(compare)
main.add_command(corpus)
main.add_command(labels)
main.add_command(models)
main.add_command(table)
main.add_command(tinker_serve)
main.add_command(tune)
