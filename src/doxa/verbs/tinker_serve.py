"""`doxa tinker-serve`: a Tinker server on this machine."""

import os
from pathlib import Path

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import EnvironmentFault, StudyError

KEY = "TINKER_API_KEY"


@click.command("tinker-serve")
@click.option("--model", "model_name", default="smollm2", show_default=True, help="Model that is trained and sampled.")
@click.option("--folder", type=PATH, required=True, help="Where states and adapters are kept.")
@click.option("--port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0 takes a free one.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="ENDPOINT:N=KIND",
    help="The N-th call goes wrong, e.g. optim_step:3=500.",
)
@click.option("--own-key", is_flag=True, help=f"Ask for the key in {KEY}, instead of one that is made.")
@in_words
def tinker_serve(model_name: str, folder: Path, port: int, faults: tuple[str, ...], own_key: bool) -> None:
    """Serve a small model to the Tinker SDK, to rehearse a script on this machine before it costs anything.

    Training and sampling are doxa's own. Only this machine is listened to.

    \b
    Example:
        doxa tinker-serve --model smollm2 --folder rehearsal --port 8001
        doxa tinker-serve --folder rehearsal --fault forward_backward:3=500
    """
    try:
        from doxa.models.handle import load
        from doxa.server.serving import bound
        from doxa.server.tinker.faults import fault_from_text
        from doxa.server.tinker.serving import PREFIX, Settings, serve
    except ModuleNotFoundError as error:
        raise EnvironmentFault(f"{error.name} is not installed", way_out="pip install 'doxa[tinker]'") from error
    key = os.environ.get(KEY) if own_key else None
    if own_key and (key is None or not key.startswith(PREFIX)):
        raise StudyError(
            f"{KEY} holds no key", expected=f"one that begins with {PREFIX}", way_out="Leave out --own-key"
        )
    settings = Settings(folder, key=key, faults=[fault_from_text(one) for one in faults])
    with bound(settings.host, port) as listener:
        serve(load(model_name), listener, settings, click.echo)
