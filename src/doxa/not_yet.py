"""What the grammar of a study knows and this version does not run: said in words, before anything runs."""

from doxa.words.errors import NotYetError
from doxa.words.interventions import Tune
from doxa.words.study import Study

NOT_YET = {Tune: "fine-tuning (`tune`)"}


def refuse_what_is_not_run_yet(study: Study) -> None:
    """Say at plan time, in words, what the grammar knows and this version does not run.

    Raises:
        NotYetError: For several models, engines beyond this machine, tunes and training seeds.
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
    for arm in study.arms:
        for intervention in arm.interventions:
            for kind, words in NOT_YET.items():
                if isinstance(intervention, kind):
                    raise NotYetError(f"arm {arm.name!r} needs {words}, which is not run yet", way_out="Leave it out")
    if study.seeds > 1:
        raise NotYetError(f"seeds: {study.seeds}: nothing is trained, so there is one", way_out="Leave `seeds` out")
    if "minutes" in (study.limits or {}):
        raise NotYetError("`limits: {minutes: ...}` is not kept yet", way_out="See `doxa plan`, and limit generations")
    if study.steer_controls.match == "measured":
        raise NotYetError("`match: measured` is not run yet", way_out="Write `match: planned`")
