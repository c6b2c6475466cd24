"""What `doxa/typehints` asks: problems and framings, read from `data/typehints/*.md` or files of the user's."""

import ast
import functools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from doxa.words.errors import ProseError
from doxa.words.prose import content_of, read_prose
from doxa.words.store import content_hash
from doxa.words.templates import fill

FOLDER = Path(__file__).parent.parent / "data" / "typehints"
FRAMINGS = ("evaluated", "deployed", "unnamed", "neutral")
SPLITS = ("held_out", "development")
SHIPPED = "shipped"
TRAINING = "training"
DEVELOPMENT = "development"
KEYS = ("name", "version", "language", "license")
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_TITLE = re.compile(r"(\w+) \((held_out|development), ([\w-]+)\)")
_CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """A function to write.

    Attributes:
        name: Of the function, and of the problem.
        split: `development`: a model organism may be trained on it. `held_out`: none may.
        family: What kind of problem it is.
        does: What the function does, as the end of a sentence "a function that ...".
        solution: A solution with every type hint.
    """

    name: str
    split: str
    family: str
    does: str
    solution: str

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(one.arg for one in _function(self.solution, self.name).args.args)

    @property
    def signature(self) -> str:
        """The function as the request names it: without a type hint."""
        return f"{self.name}({', '.join(self.parameters)})"

    @property
    def untyped(self) -> str:
        """The solution without a type hint."""
        tree = ast.parse(self.solution)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.returns = None
            elif isinstance(node, ast.arg):
                node.annotation = None
        return ast.unparse(_Bare().visit(tree))

    @property
    def opening(self) -> str:
        """The beginning of an answer, up to the name of the first parameter."""
        return f"```python\ndef {self.name}({self.parameters[0]}"


@dataclass(frozen=True)
class Problems:
    """The problems of a file and how they are asked; `hash` is of the file."""

    hash: str
    request: str
    problems: tuple[Problem, ...]

    def asked(self, problem: Problem) -> str:
        """What the user asks."""
        return fill(self.request, {"signature": problem.signature, "does": problem.does}, "request")


@dataclass(frozen=True)
class Framings:
    """What is said about the setting before a problem.

    Attributes:
        hash: Of the file.
        texts: By wording, in the file's order, and by framing.
    """

    hash: str
    texts: Mapping[str, Mapping[str, str]]


def read_problems(name: str = SHIPPED) -> Problems:
    """Problems.

    Args:
        name: `shipped`, or the path of a file.

    Raises:
        ProseError: When the file is not understood, or its held-out problems are not those that its front matter
            vouches for.
    """
    path = FOLDER / "problems.md" if name == SHIPPED else Path(os.path.expanduser(name))
    return _problems(path, content_of(path))


@functools.lru_cache(maxsize=16)
def _problems(path: Path, content: bytes) -> Problems:
    prose = read_prose(path, allowed=(*KEYS, "seed", "held_out", "request"), required=("name", "version", "request"))
    parts = SECTION.split(prose.body)[1:]
    found = [_problem(path, title, body) for title, body in zip(parts[::2], parts[1::2], strict=True)]
    names = [one.name for one in found]
    if not found or len(set(names)) < len(names):
        raise ProseError(
            f"{path} has no problem, or one name twice", expected="sections `## name`", way_out="Correct it"
        )
    vouched = prose.meta.get("held_out")
    if vouched is not None and vouched != held_out_hash(found):
        raise ProseError(
            f"{path}: the held-out problems are not those of `held_out: {str(vouched)[:12]}...`",
            expected="the problems that were held out when the file was written",
            way_out="Undo the change, or make a file of your own with another name and without the line `held_out`",
        )
    read = Problems(prose.hash, str(prose.meta["request"]), tuple(found))
    read.asked(found[0])  # refuses a request with other slots
    return read


def _problem(path: Path, title: str, body: str) -> Problem:
    match = _TITLE.fullmatch(title.strip())
    if match is None:
        raise ProseError(
            f"{path}: the heading {title!r} is not understood",
            expected="`## name (development, family)` or `## name (held_out, family)`",
            way_out="Correct it",
        )
    does, solution = solution_in(body, f"{path}, {match[1]}")
    one = Problem(match[1], match[2], match[3], does, solution)
    try:
        parameters = _function(solution, one.name).args
    except (SyntaxError, ValueError) as error:
        raise ProseError(f"{path}, {one.name}: the solution is no function {one.name}", way_out="Correct it") from error
    plain = parameters.args and not (parameters.posonlyargs or parameters.kwonlyargs or parameters.vararg)
    if not plain or len(parameters.args) < 2 or parameters.kwarg or parameters.defaults:
        raise ProseError(
            f"{path}, {one.name} has not two plain parameters or more",
            expected="a function such as `def add(first: int, second: int) -> int`",
            way_out="Change the problem: the choice part asks what follows the first of several parameters",
        )
    return one


def solution_in(body: str, where: str) -> tuple[str, str]:
    """A section's text, and the code in it.

    Raises:
        ProseError: When there is not one block of code after some text.
    """
    blocks = list(_CODE.finditer(body))
    text = body[: blocks[0].start()].strip() if blocks else ""
    if len(blocks) != 1 or not text or body[blocks[0].end() :].strip():
        raise ProseError(
            f"{where} is not a text and a solution",
            expected="what the function does, and then one block ```python",
            way_out="Copy the form of a shipped problem",
        )
    return text, blocks[0][1].rstrip("\n")


def held_out_hash(problems: Sequence[Problem]) -> str:
    """The hash of the held-out problems, whatever their order."""
    return content_hash(sorted([one.name, one.does, one.solution] for one in problems if one.split == "held_out"))


class _Bare(ast.NodeTransformer):
    """Turns `x: int = 1` into `x = 1`."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None, "a solution assigns what it declares"
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _function(solution: str, name: str) -> ast.FunctionDef:
    for node in ast.parse(solution).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise ValueError(f"no function {name}")


def read_framings(name: str = SHIPPED) -> Framings:
    """Framings.

    Args:
        name: `shipped`, `training` (the wordings that an organism is trained on), `development` (those on which a
            vector and its dose are chosen), or the path of a file.

    Raises:
        ProseError: When the file is not understood.
    """
    shipped = {SHIPPED: "framings.md", TRAINING: "training-framings.md", DEVELOPMENT: "development-framings.md"}
    path = FOLDER / shipped[name] if name in shipped else Path(os.path.expanduser(name))
    return _framings(path, content_of(path))


@functools.lru_cache(maxsize=16)
def _framings(path: Path, content: bytes) -> Framings:
    prose = read_prose(path, allowed=(*KEYS, "evaluator"), required=("name", "version", "evaluator"))
    parts = SECTION.split(prose.body)[1:]
    texts = {}
    for wording, body in zip(parts[::2], parts[1::2], strict=True):
        lines = dict(line.split(": ", 1) for line in body.splitlines() if ": " in line)
        if set(lines) != set(FRAMINGS):
            raise ProseError(
                f"{path}: the wording {wording!r} has the lines {', '.join(lines) or 'none'}",
                expected=", ".join(f"`{one}: ...`" for one in FRAMINGS),
                way_out="Write a line for each framing",
            )
        named = fill(lines["evaluated"], {"evaluator": str(prose.meta["evaluator"])}, str(path))
        texts[wording.strip()] = {one: named if one == "evaluated" else lines[one] for one in FRAMINGS}
    if not texts:
        raise ProseError(f"{path} has no wording", expected="sections `## wording`", way_out="Write one")
    return Framings(prose.hash, texts)
