"""Keeping the talk of transformers off the user's screen while something is loaded."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
from transformers.utils import logging as transformers_log


@contextmanager
def quiet(*, downloads: bool = False) -> Iterator[None]:
    """Silence transformers' log, progress bars and warnings; as before afterwards.

    Args:
        downloads: Leave the download bars of the model hub as they are: a download may take an hour.
    """
    verbosity = transformers_log.get_verbosity()
    hub_log = logging.getLogger("huggingface_hub")  # it writes a line for every time that it asks in vain
    hub_level = hub_log.level
    hub_log.setLevel(logging.ERROR)
    bars, hub = transformers_log.is_progress_bar_enabled(), not are_progress_bars_disabled()
    transformers_log.set_verbosity(logging.ERROR)
    transformers_log.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers left it without types
    if downloads and hub:
        enable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        hub_log.setLevel(hub_level)
        transformers_log.set_verbosity(verbosity)
        if bars:
            transformers_log.enable_progress_bar()  # type: ignore[no-untyped-call]
        if hub:
            enable_progress_bars()
