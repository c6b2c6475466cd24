"""Imports go down the floors only, and the light floors stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "doxa"
MAY_IMPORT = {
    "words": {"words"},
    "models": {"words", "models"},
    "vectors": {"words", "models", "vectors"},
    "bridge": {"words", "models", "vectors", "bridge", "stats"},
    "training": {"words", "models", "vectors", "bridge", "training"},
    "evals": {"words", "models", "vectors", "bridge", "evals", "stats"},
    "stats": {"words", "stats"},
    "planning": {"words", "stats", "planning"},
    "claims": {"words", "stats", "planning", "claims"},
    "documents": {"words", "claims", "documents"},
    "report": {"words", "stats", "planning", "claims", "report"},
}
FORBIDDEN = {
    "words": {"torch", "transformers", "inspect_ai", "pandas", "scipy", "matplotlib"},
    "models": {"inspect_ai", "pandas"},
    "vectors": {"inspect_ai", "pandas"},
    "training": {"inspect_ai", "pandas"},
    "stats": {"torch", "transformers", "inspect_ai"},
    "planning": {"torch", "transformers", "inspect_ai"},
    "claims": {"torch", "transformers", "inspect_ai"},
    "report": {"torch", "transformers", "inspect_ai"},
    "documents": {"torch", "transformers", "inspect_ai", "pandas", "scipy"},
}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(path for floor in MAY_IMPORT for path in (SOURCE / floor).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_only(path: Path) -> None:
    floor = path.relative_to(SOURCE).parts[0]
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "doxa" and rest:
            allowed = MAY_IMPORT[floor] | {"data", "__version__"}
            assert rest[0] in allowed, f"{floor} may not import {name}"
        assert top not in FORBIDDEN.get(floor, set()), f"{floor} may not import {name}"


SERVER = sorted((SOURCE / "server").rglob("*.py"))
VERBS = sorted((SOURCE / "verbs").rglob("*.py"))


def test_every_floor_has_files() -> None:
    assert {path.relative_to(SOURCE).parts[0] for path in FILES} == set(MAY_IMPORT)


def test_inspect_is_imported_by_bridge_and_tasks_only() -> None:
    roof = [*sorted(SOURCE.glob("*.py")), *SERVER, *VERBS]
    assert SERVER
    assert VERBS
    for path in roof:
        assert not any(name.split(".")[0] == "inspect_ai" for name in imports(path)), path.name


def test_no_file_is_over_400_lines() -> None:
    long = {path.name: n for path in SOURCE.rglob("*.py") if (n := len(path.read_text().splitlines())) > 400}
    assert not long


@pytest.mark.parametrize(
    "statement",
    [
        "import doxa.cli",
        "import doxa.words.study, doxa.words.controls, doxa.words.beliefs",
        "import doxa.stats.evaluate",
        "import doxa.report.page",
        "import doxa.documents.review, doxa.documents.comments",
        "import doxa.bridge._registry",
    ],
)
def test_light_modules_do_not_import_torch(statement: str) -> None:
    heavy = ["torch", "transformers"]
    if "bridge" not in statement:
        heavy.append("inspect_ai")
    code = f"import sys\n{statement}\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
