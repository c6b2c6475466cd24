"""`doxa lint`: check texts that are put before a model or a judge."""

import sys
from pathlib import Path

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import StudyError


@click.command()
@click.argument("paths", nargs=-1, type=PATH, required=True)
@in_words
def lint(paths: tuple[Path, ...]) -> None:
    """Check beliefs, scenarios, rubrics and other texts: front matter, language, unseen characters, real names.

    A folder stands for all Markdown files in it. Leaves with 2 when something is wrong.

    \b
    Example:
        doxa lint beliefs/mine.md
        doxa lint scenarios/
    """
    from doxa.lint import lint as check
    from doxa.lint import prose_files

    files = [file for path in paths for file in (prose_files(path) if path.is_dir() else (path,))]
    if not files:
        raise StudyError(
            f"no Markdown file below {', '.join(map(str, paths))}", way_out="Name a file, or a folder that holds some"
        )
    findings = [finding for file in files for finding in check(file)]
    for finding in findings:
        click.echo(str(finding))
    click.echo(f"{len(files)} text{'s' * (len(files) != 1)}, {len(findings)} finding{'s' * (len(findings) != 1)}")
    if findings:
        sys.exit(2)
