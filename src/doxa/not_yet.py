"""What the grammar of a study knows and this version does not run: said in words, before anything runs."""

from doxa.words.errors import NotYetError
from doxa.words.study import Study


def refuse_what_is_not_run_yet(study: Study) -> None:
    """Say at plan time, in words, what the grammar knows and this version does not run.

    Raises:
        NotYetError: For several models, engines beyond this machine, and controls of measured dose.
    """
    if len(study.models) > 1:
        raise NotYetError(
            f"study {study.name!r} names {len(study.models)} models",
            expected="one here: `doxa run`, `doxa plan` and `doxa report` take several",
            way_out="Keep one",
        )
    engine, slash, _ = study.models[0].name.partition("/")
    if slash and engine == "tinker":
        raise NotYetError(
            f"model {study.models[0].name!r} runs on {engine}, which this version does not drive",
            way_out="Name a local folder, a Hugging Face id or smollm2; `vllm/` and one of these; or an Inspect model",
        )
    if "minutes" in (study.limits or {}):
        raise NotYetError("`limits: {minutes: ...}` is not kept yet", way_out="See `doxa plan`, and limit generations")
    if study.steer_controls.match == "measured":
        raise NotYetError("`match: measured` is not run yet", way_out="Write `match: planned`")
