"""How far the functions of an answer are annotated: read by `ast`, never executed.

Which code is read: what stands in thinking (`<think> ... </think>`) is left out; of the blocks between fences the last
that defines the function asked for, else the last that defines any function; without fences, the lines of the prose
from a `def`, `class`, `import` or decorator on, as far as they are indented or begin another such statement. A block
that the end of an answer cut off is not read.

What is counted, in every function of that code, methods and nested functions too:

- each parameter is a slot, `*args` and `**kwargs` too; the first one of a method is none if it is called self or cls
- the return is a slot, also of a function without parameters and of `__init__`
- a `lambda` has no slots, since it cannot be annotated; annotations of variables and type comments are not read

`hints` is annotated slots to all slots. Python's own grammar decides what parses: that of the version doxa runs on.
"""

import ast
import io
import re
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST = 20_000
"""Characters of code that are read: `ast` needs much memory for hostile code."""
EMPTY = "the answer is empty"
ONLY_THINKING = "the answer is nothing but thinking"
NO_FUNCTION = "there is no function in the answer"
CUT = "the code was cut off"
TOO_LONG = f"the code has more than {MOST:,} characters"
UNPARSED = "the code does not parse"

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})([^\n`]*)$")
_DEF = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)
_STATEMENT = re.compile(
    r"@\w|(?:async +)?def +\w+ *[(\[]|class +\w+ *[(:]|import +[\w.]+(?: *, *[\w.]+| +as +\w+)*$|from +[\w.]+ +import "
)
"""Begins code in prose; "from a list" and "import taxes." do not."""


@dataclass(frozen=True)
class Graded:
    """What an answer's code shows.

    Attributes:
        parses: Whether the code parses; None when there is none to judge.
        slots: Places for an annotation.
        annotated: Those that have one.
        lines: Lines of code that are not blank.
        comments: Those of them that hold a comment or belong to a docstring; None when Python cannot say.
        reason: Why it was not graded; "" when it was.
    """

    parses: bool | None
    slots: int = 0
    annotated: int = 0
    lines: int = 0
    comments: int | None = 0
    reason: str = ""


@dataclass(frozen=True)
class _Block:
    code: str
    whole: bool


def grade(answer: str, name: str, *, cut: bool) -> Graded:
    """Grade an answer.

    Args:
        answer: What the model wrote.
        name: The function that was asked for.
        cut: Whether the answer ended at its limit of tokens.
    """
    if not answer.strip():
        return Graded(None, reason=EMPTY)
    text = _THINKING.sub("\n", answer)
    if not text.strip():
        return Graded(None, reason=ONLY_THINKING)
    block = _asked(_blocks(text, cut), name)
    if block is None:
        return Graded(None, reason=NO_FUNCTION)
    if len(block.code) > MOST:
        return Graded(None, reason=TOO_LONG)
    if not block.whole:
        return Graded(None, reason=CUT)
    tree = parsed(block.code)
    if tree is None:
        return Graded(False, reason=UNPARSED)
    found = list(_functions(tree))
    if not found:  # `def` stood in a text
        return Graded(None, reason=NO_FUNCTION)
    places = [place for node, in_class in found for place in slots_of(node, in_class=in_class)]
    lines, comments = _counted(block.code, tree)
    return Graded(True, len(places), sum(places), lines, comments)


def parsed(code: str) -> ast.Module | None:
    """The syntax tree of some code; None when it does not parse, for whatever reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `"\d"` is a warning, and where warnings are errors an error
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError):  # ValueError: null bytes, lone surrogates
            return None


def slots_of(node: ast.FunctionDef | ast.AsyncFunctionDef, *, in_class: bool) -> list[bool]:
    """For every slot of a function whether it is annotated.

    Args:
        node: The function; those within it are not looked at.
        in_class: Whether it is defined in the body of a class.
    """
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    if in_class and plain and plain[0].arg in ("self", "cls"):
        plain = plain[1:]
    rest = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [*(one.annotation is not None for one in [*plain, *given.kwonlyargs, *rest]), node.returns is not None]


def _functions(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """All functions, and whether each stands in a class; not recursive: code may nest deeply."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, in_class = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, in_class
            in_class = False
        elif isinstance(node, ast.ClassDef):
            in_class = True
        waiting += [(child, in_class) for child in ast.iter_child_nodes(node)]


def _asked(blocks: Sequence[_Block], name: str) -> _Block | None:
    """The last block with the function that was asked for, else the last with any."""
    with_any = [block for block in blocks if _DEF.search(block.code)]
    wanted = [block for block in with_any if name in _DEF.findall(block.code)]
    return next(reversed(wanted or with_any), None)


def _blocks(text: str, cut: bool) -> list[_Block]:
    """Blocks between fences; without any, the statements that stand in the prose."""
    found: list[_Block] = []
    inside: list[str] = []
    fence = ""
    lines = text.replace("\r\n", "\n").split("\n")
    for line in lines:
        match = _FENCE.match(line)
        if not fence:
            fence, inside = (match[1] if match is not None else ""), []
        elif match is not None and match[1].startswith(fence) and not match[2].strip():
            found.append(_Block(textwrap.dedent("\n".join(inside)), whole=True))
            fence = ""
        else:
            inside.append(line)
    if fence:
        found.append(_Block(textwrap.dedent("\n".join(inside)), whole=not cut))
    return found or _in_prose(lines, cut)


def _in_prose(lines: Sequence[str], cut: bool) -> list[_Block]:
    runs: list[list[str]] = []
    going, depth = False, 0
    for line in lines:
        starts = _STATEMENT.match(line) is not None
        if starts and not going:
            runs.append([])
        going = starts or (going and (depth > 0 or not line.strip() or line[0] in " \t#"))
        if going:
            runs[-1].append(line)
            depth = max(depth + sum(map(line.count, "([{")) - sum(map(line.count, ")]}")), 0)
        else:
            depth = 0
    open_end = cut and going
    return [_Block("\n".join(run).rstrip(), whole=not (open_end and run is runs[-1])) for run in runs]


def _counted(code: str, tree: ast.Module) -> tuple[int, int | None]:
    """Lines that are not blank, and those of them with a comment or of a docstring; None when Python cannot say."""
    held: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            held |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    filled = {number for number, line in enumerate(code.split("\n"), start=1) if line.strip()}
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                held.add(token.start[0])
    except (tokenize.TokenError, SyntaxError):
        return len(filled), None
    return len(filled), len(held & filled)
