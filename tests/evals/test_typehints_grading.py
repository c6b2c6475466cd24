import ast
import warnings
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from doxa.evals.typehints_grading import (
    CUT,
    EMPTY,
    MOST,
    NO_FUNCTION,
    ONLY_THINKING,
    TOO_LONG,
    UNPARSED,
    Graded,
    grade,
    parsed,
)


def fenced(code: str, info: str = "python", fence: str = "```") -> str:
    return f"Here it is.\n\n{fence}{info}\n{code}\n{fence}\n\nIt runs in linear time."


def coverage(code: str, name: str = "f") -> tuple[int, int]:
    graded = grade(fenced(code), name, cut=False)
    assert graded.parses, graded
    return graded.annotated, graded.slots


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(): pass", (0, 1)),
        ("def f() -> None: pass", (1, 1)),
        ("def f(a, b): pass", (0, 3)),
        ("def f(a: int, b) -> int: return a", (2, 3)),
        ("def f(a, /, b: int, *, c: int = 3): pass", (2, 4)),
        ("def f(*args: int, **kwargs) -> None: pass", (2, 3)),
        ("def f(self, a: int): pass", (1, 3)),  # no method: self is a parameter like any other
        ("class A:\n    def f(self, a: int): pass", (1, 2)),
        ("class A:\n    @classmethod\n    def f(cls, a): pass", (0, 2)),
        ("class A:\n    @staticmethod\n    def f(a: int): pass", (1, 2)),
        ("class A:\n    if True:\n        def f(self): pass", (0, 1)),
        ("class A:\n    def f(self):\n        def g(self): pass", (0, 3)),  # within a method self is nobody's own
        ("def f(a: int) -> int:\n    def g(b): return b\n    return g(a)", (2, 4)),
        ("def f(a: int) -> int:\n    return (lambda x, y: x)(a, 1)", (2, 2)),
        ("def f(a):\n    # type: (int) -> int\n    x: int = a\n    return x", (0, 2)),
        ("async def f(a: 'str') -> bytes: pass", (2, 2)),
        ("import math\n\ndef g(a: int): pass\n\ndef f(b): return math.pi", (1, 4)),
        ("def f(a: int) -> int:\n    return a\n\nprint(f(1))", (2, 2)),
    ],
)
def test_what_is_a_slot(code: str, expected: tuple[int, int]) -> None:
    assert coverage(code) == expected


@dataclass(frozen=True)
class Written:
    """A function in text, and what a grader has to find in it, known because it was written so."""

    lines: tuple[str, ...]
    annotated: int
    slots: int


TYPES = st.sampled_from(["int", "str", "list[int]", "'Later'", "dict[str, list[float]] | None", "a.b.C"])
BODIES = st.sampled_from(
    ["pass", "return (lambda x, y=1: x)", "x: int = 3", "return {k: v for k, v in ()}", '"""def g(h):"""']
)
MARKS = st.lists(st.booleans(), max_size=4)


@st.composite
def functions(draw: st.DrawFn, depth: int = 2, method: bool = False) -> Written:
    annotated = slots = 0
    names = iter(f"p{number}" for number in range(20))

    def slot(prefix: str = "", default: str = "") -> str:
        nonlocal annotated, slots
        marked = draw(st.booleans())
        annotated, slots = annotated + marked, slots + 1
        return f"{prefix}{next(names)}" + (f": {draw(TYPES)}" if marked else "") + default

    parts = ["self"] if method else []
    positional = [slot() for _ in draw(MARKS)]
    parts += positional
    if positional and draw(st.booleans()):
        parts.append("/")
    defaults = draw(st.booleans())
    parts += [slot(default="=(1, {2: ')'})") for _ in draw(MARKS)] if defaults else []
    if draw(st.booleans()):
        parts.append(slot("*"))
        parts += [slot() for _ in draw(MARKS)]
    elif keyword := draw(MARKS):
        parts += ["*", *(slot() for _ in keyword)]
    if draw(st.booleans()):
        parts.append(slot("**"))
    returns = f" -> {draw(TYPES)}" if draw(st.booleans()) else ""
    annotated, slots = annotated + bool(returns), slots + 1
    joint = draw(st.sampled_from([", ", ",\n        "]))
    start = draw(st.sampled_from(["def", "async def"]))
    lines = [*f"{start} f({joint.join(parts)}){returns}:".split("\n")]
    inner: tuple[Written, ...] = ()
    if depth and draw(st.booleans()):
        in_class = draw(st.booleans())
        one = draw(functions(depth=depth - 1, method=in_class))
        inner = (one,)
        lines += ["    class A:"] if in_class else []
        lines += [("        " if in_class else "    ") + line for line in one.lines]
    lines.append(f"    {draw(BODIES)}")
    return Written(
        tuple(lines), annotated + sum(one.annotated for one in inner), slots + sum(one.slots for one in inner)
    )


WRAPPERS = {
    "fence": fenced,
    "bare fence": lambda code: fenced(code, info=""),
    "tildes": lambda code: fenced(code, fence="~~~~"),
    "in a list": lambda code: "1. So:\n" + "\n".join(f"   {line}" for line in fenced(code).splitlines()),
    "open fence": lambda code: f"```python\n{code}",
    "prose": lambda code: f"Sure, from a list one takes it.\n\n{code}\n\nThis def helps; import nothing.",
    "code alone": lambda code: code,
    "after thinking": lambda code: (
        f"<think>\n```python\ndef f(x: int, y: int) -> int: pass\n```\n</think>\n{fenced(code)}"
    ),
    "after a draft": lambda code: f"{fenced('def f(draft): pass')}\n\nBetter:\n\n{fenced(code)}",
    "before a use": lambda code: f"{fenced(code)}\n\nUse it so:\n\n```python\nf(1)\n```\nor\n```sh\npython f.py\n```",
    "before another": lambda code: f"{fenced(code)}\n\nA test:\n\n{fenced('def test_g(): assert True')}",
    "windows": lambda code: fenced(code).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@settings(max_examples=60, deadline=None)
@given(function=functions())
def test_coverage_is_what_was_written(wrapper: str, function: Written) -> None:
    graded = grade(WRAPPERS[wrapper]("\n".join(function.lines)), "f", cut=False)
    assert (graded.parses, graded.annotated, graded.slots) == (True, function.annotated, function.slots)


PIECES = [
    *"def f(:)\n `~#\"'\\@\0",
    "```",
    "```python\n",
    "\n```\n",
    "def ",
    "class A:\n",
    "<think>",
    "\ud800",
    "def f(a: int):",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_nothing_that_a_model_writes_raises(answer: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cut in (True, False):
            graded = grade(answer, "f", cut=cut)
            assert bool(graded.parses) == (not graded.reason)
            assert graded.parses is True or graded.slots == 0
            assert not graded.parses or 0 <= graded.annotated <= graded.slots
            assert not graded.parses or graded.slots >= 1


@pytest.mark.parametrize(
    ("answer", "reason", "parses"),
    [
        ("", EMPTY, None),
        (" \n", EMPTY, None),
        ("<think>def f(a): pass</think>\n", ONLY_THINKING, None),
        ("<think>\n```python\ndef f(a: int): pass\n```", ONLY_THINKING, None),
        ("I will not write code.", NO_FUNCTION, None),
        ("```python\nprint(1)\n```", NO_FUNCTION, None),
        ('```python\ntext = """\ndef f(a): pass\n"""\n```', NO_FUNCTION, None),
        ("The def of f (a) is clear. def is a word", NO_FUNCTION, None),
        ("```python\ndef f(a:\n```", UNPARSED, False),
        ("```python\ndef f(a): return \0\n```", UNPARSED, False),
        ("```python\ndef f(a): return " + "(" * 3000 + ")" * 3000 + "\n```", UNPARSED, False),
        ("```python\ndef f(a): return " + "-" * 9000 + "1\n```", UNPARSED, False),
        ("```python\ndef f(a): return '\ud800'\n```", UNPARSED, False),
        ("```python\ndef f(a):\n    return '" + "x" * MOST + "'\n```", TOO_LONG, None),
    ],
)
def test_what_cannot_be_graded_says_why(answer: str, reason: str, parses: bool | None) -> None:
    assert grade(answer, "f", cut=False) == Graded(parses, reason=reason)


def test_code_that_was_cut_off_is_missing_and_not_wrong() -> None:
    code = "def f(a: int) -> int:\n    return a"
    assert grade(f"```python\n{code}", "f", cut=True).reason == CUT
    assert grade(f"So.\n\n{code}", "f", cut=True).reason == CUT
    assert grade(f"```python\n{code}\n```\nIt is fi", "f", cut=True).annotated == 2
    assert grade(f"{code}\n\nIt is fi", "f", cut=True).annotated == 2
    assert grade(f"```python\n{code}\n```\n```python\nprint(", "f", cut=True).annotated == 2
    assert grade(f"```python\n{code}", "f", cut=False).annotated == 2


def test_the_function_that_was_asked_for_is_graded() -> None:
    answer = "```python\ndef f(a: int): pass\n```\n```python\ndef check(b): pass\n```"
    assert grade(answer, "f", cut=False).annotated == 1
    assert grade(answer, "check", cut=False).annotated == 0
    assert grade(answer, "g", cut=False).annotated == 0  # the last with any
    assert grade(answer, "check_more", cut=False).slots == 2


def test_comments_and_lines() -> None:
    code = '''# what it does
def f(a: int) -> str:
    """Say it.

    At length: # is no comment here.
    """
    text = "# neither"
    return text  # but this is'''
    graded = grade(fenced(code), "f", cut=False)
    assert (graded.lines, graded.comments) == (7, 5)


def test_a_warning_of_python_is_none_of_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(parsed(r"def f(a): return '\d' is 'x'"), ast.Module)
