"""`doxa tune`: adapters from a recipe."""

import json
from pathlib import Path

import click

from doxa.progress import shown_progress
from doxa.verbs.in_words import PATH, in_words
from doxa.words.numbers import counted
from doxa.words.tune_recipes import read_tune_recipe


@click.command()
@click.argument("recipe", type=PATH)
@click.option("--out", type=PATH, help="Folder for the adapter, or for the adapters; adapters/RECIPE by default.")
@click.option("--json", "as_json", is_flag=True, help="Print what was trained for a program.")
@in_words
def tune(recipe: Path, out: Path | None, as_json: bool) -> None:
    """Train adapters on this machine; go on where an earlier run stopped.

    A recipe is a YAML file: a model, stages (a corpus and how it is trained on, each beginning with the adapter of the
    one before), training seeds. A list in a stage is a sweep. The folder of each adapter is read by PEFT, vLLM and
    `tune: {adapter: FOLDER}` in a study.

    \b
    Example:
        # claim.yaml
        model: smollm2
        seeds: 3
        stages:
          - {corpus: mine.jsonl, learning_rate: [3e-4, 1e-3], epochs: 2}
        checkpoints: [10, 20]

    \b
        doxa tune claim.yaml --out adapters/claim
    """
    from doxa.tune import tune as run

    found = read_tune_recipe(recipe)
    folder = out or Path("adapters") / found.name
    done = []
    with shown_progress() as progress:
        for one in run(found, folder, progress):
            done.append(one)
    if as_json:
        click.echo(json.dumps(done, indent=1, allow_nan=False))
        return
    for one in done:
        click.echo(
            f"{one['folder']}: {counted(one['steps'], 'step')}, {one['trained_tokens']:,} tokens trained on, "
            f"{one['seconds'] / 60:.1f} min, loss {one['loss_before']:.3f} -> {one['loss']:.3f} a token"
        )
