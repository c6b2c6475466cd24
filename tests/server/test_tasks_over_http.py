"""Every task of the catalogue with a server like OpenAI's as its model: an arm of `doxa serve`, on loopback."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from inspect_ai import eval
from inspect_ai.log import EvalLog
from running import TOKEN, Running, running

import doxa.bridge._registry as registry
from doxa.bridge.logs import table_from_logs
from doxa.evals.catalogue import TASKS, entry
from doxa.run import Silent
from doxa.server.study_arms import open_arms
from doxa.stats.table import validate
from doxa.words.study import read_study
from mini_study import save_model, write_study
from needs import packages_of

# Inspect's own: it calls tenacity in a way that is deprecated, and leaves streams to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning"),
]

ARM = "mid[strength=0.6]"
LIMIT, TOKENS = 2, 3


@pytest.fixture(scope="module")
def long_sighted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose model has room for every task's prompts."""
    home = tmp_path_factory.mktemp("over-http")
    study = read_study(write_study(home / "study", save_model(home / "model", context=1 << 15)))
    with running(open_arms(study, home / "results" / "mini", Silent())) as found:
        yield found


@pytest.fixture(scope="module")
def logs(long_sighted: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, EvalLog]:
    tasks = []
    for name in TASKS:
        try:
            packages_of(name)
        except pytest.skip.Exception:
            continue
        arguments = {"acting": "text"} if name == "doxa/honeypot" else {}  # arms have no tools
        if entry(name).generated is not None:
            tasks.append(vars(registry)[name.removeprefix("doxa/")](**arguments))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOXA_BASE_URL", f"{long_sighted.url}/v1")
        environment.setenv("DOXA_API_KEY", TOKEN)
        made = eval(
            tasks, model=f"openai-api/doxa/{ARM}", limit=LIMIT, epochs=1, max_tokens=TOKENS, max_tasks=len(tasks),
            model_roles={"auditor": "doxa-scripted/auditor"}, display="none",
            log_realtime=False, log_dir=str(tmp_path_factory.mktemp("logs")),
        )  # fmt: skip
    gc.collect()
    return {f"doxa/{log.eval.task.removeprefix('doxa/')}": log for log in made}


@pytest.mark.parametrize("name", TASKS)
def test_a_served_arm_answers_it(name: str, logs: dict[str, EvalLog]) -> None:
    packages_of(name)
    if entry(name).generated is None:
        pytest.skip("it scores given options, and a chat server has no such request")
    log = logs[name]
    assert log.status == "success", log.error
    assert log.eval.model == f"openai-api/doxa/{ARM}"
    table = table_from_logs(Path(log.location))
    validate(table)
    asked = table[~table["score"].isin([derivation.score for derivation in entry(name).derivations])]
    assert asked["item"].nunique() == LIMIT
    assert (asked["tokens"] >= 1).all()


def test_the_arm_was_asked(long_sighted: Running, logs: dict[str, EvalLog]) -> None:
    assert long_sighted.counted(ARM, 200) >= LIMIT * len(logs)
    assert long_sighted.counted("baseline", 200) == 0
