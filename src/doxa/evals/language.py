"""Which languages an answer is in, piece by piece, so that a switch in mid-answer counts.

An answer is cut at the ends of sentences and lines and wherever the script changes; code, links and numbers are left
out. A piece in a script of one language (Kana, Hangul, Greek, Hebrew, Thai, ...) is settled by the script. In Latin,
Cyrillic, Arabic and Devanagari script an identifier decides among the languages of `CANDIDATES` and no others. Pieces
that are too short, repetitive or uncertain have no language (None) and do not count: degenerate text is not an exotic
language.

The identifier is py3langid 0.4.0 (BSD-3, its model in the wheel, no network). Compared with lingua 2.1.1 by
`benchmarks/language_identifiers.py` on one busy core: its wheel has 4.6 MB (lingua: 96), its first use takes 1.5 s
(4.2) and 119 MB (289), a segment 0.09 ms (0.37). Both name all 97 of our own segments; at a confidence of 0.75
py3langid leaves 3 of them without a name, lingua 16. On the gettext strings of a Linux system in 12 languages, at that
confidence, the shares that are wrong and left without a name:

    4 to 6 words             0.10 % and 11 %   (lingua 0.13 % and 28 %)
    4 to 6 words, English    0.20 % and 27 %   (lingua 0.15 % and 70 %)
    7 to 14 words            0.00 % and 1.5 %  (lingua 0.00 % and 12 %)

Known limits: a change of language inside a sentence is seen only if the script changes; a language that is not a
candidate comes out as none or as a similar candidate (Danish as Swedish), which is still not the prompt's.
"""

import copy
import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise

from py3langid.langid import MODEL_FILE, LanguageIdentifier

CANDIDATES: dict[str, tuple[str, ...]] = {
    "Latin": ("en", "fr", "es", "de", "it", "pt", "nl", "sv", "pl", "tr", "vi", "id"),
    "Cyrillic": ("ru", "uk", "bg"),
    "Arabic": ("ar", "fa"),
    "Devanagari": ("hi", "mr"),
}
"""Languages told apart by the identifier, by script (ISO 639-1)."""

BY_SCRIPT: dict[str, str] = {
    "Hangul": "ko", "Greek": "el", "Hebrew": "he", "Thai": "th", "Armenian": "hy", "Georgian": "ka", "Bengali": "bn",
    "Gurmukhi": "pa", "Gujarati": "gu", "Tamil": "ta", "Telugu": "te", "Kannada": "kn", "Malayalam": "ml",
    "Sinhala": "si", "Lao": "lo", "Tibetan": "bo", "Burmese": "my", "Ethiopic": "am", "Khmer": "km",
}  # fmt: skip
"""Scripts that one language of any size is written in."""

LANGUAGES: tuple[str, ...] = (*(code for some in CANDIDATES.values() for code in some), *BY_SCRIPT.values(), "zh", "ja")
"""Every language that a piece can be said to be in."""

# Thresholds: part of the version of `doxa/drift`. Figures: gettext strings, see above.
CONFIDENCE = 0.75  # errors among 4 to 6 words: 0.1 % (at 0.6: 0.4 %, at 0.5: 1.1 %)
MIN_WORDS = 4  # of 2 or 3 English words, 1.9 % are taken for another language and 82 % stay without a name anyway
MIN_LETTERS = 4  # where the script alone decides: less is a symbol or an initial
MIN_HAN = 2  # a word of Chinese has two characters; one alone is quoted as a character
MIN_VARIETY = 1 / 3  # distinct words (pairs of letters where words are few) to all: "la la la la" has no language
KANJI_ONLY = 8  # a run of Han characters as long as this has no kana in Chinese, and hardly ever in Japanese

_RANGES: tuple[tuple[int, int, str], ...] = (
    (0x41, 0x5A, "Latin"), (0x61, 0x7A, "Latin"), (0xC0, 0x24F, "Latin"), (0x1E00, 0x1EFF, "Latin"),
    (0x370, 0x3FF, "Greek"), (0x1F00, 0x1FFF, "Greek"), (0x400, 0x52F, "Cyrillic"), (0x531, 0x58F, "Armenian"),
    (0x590, 0x5FF, "Hebrew"), (0x600, 0x6FF, "Arabic"), (0x750, 0x77F, "Arabic"), (0x8A0, 0x8FF, "Arabic"),
    (0xFB50, 0xFDFF, "Arabic"), (0xFE70, 0xFEFF, "Arabic"), (0x900, 0x97F, "Devanagari"), (0x980, 0x9FF, "Bengali"),
    (0xA00, 0xA7F, "Gurmukhi"), (0xA80, 0xAFF, "Gujarati"), (0xB80, 0xBFF, "Tamil"), (0xC00, 0xC7F, "Telugu"),
    (0xC80, 0xCFF, "Kannada"), (0xD00, 0xD7F, "Malayalam"), (0xD80, 0xDFF, "Sinhala"), (0xE00, 0xE7F, "Thai"),
    (0xE80, 0xEFF, "Lao"), (0xF00, 0xFFF, "Tibetan"), (0x1000, 0x109F, "Burmese"), (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"), (0x1200, 0x137F, "Ethiopic"), (0x1780, 0x17FF, "Khmer"), (0x3005, 0x3007, "Han"),
    (0x3041, 0x30FF, "Kana"), (0x3131, 0x318E, "Hangul"), (0x31F0, 0x31FF, "Kana"), (0x3400, 0x4DBF, "Han"),
    (0x4E00, 0x9FFF, "Han"), (0xAC00, 0xD7A3, "Hangul"), (0xF900, 0xFAFF, "Han"), (0xFF66, 0xFF9F, "Kana"),
    (0x20000, 0x3FFFF, "Han"),
)  # fmt: skip

_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\$\$.*?\$\$|https?://\S+|www\.\S+|\S+@\S+\.\w+|</?\w[^>\n]*>", re.DOTALL
)
_SENTENCE_END = re.compile(r"\n+|(?<=[.!?…])[\"'”’)\]*_]*\s+|(?<=[。！？｡।؟])")
_BETWEEN_WORDS = re.compile(r"[\s\d_.,;:!?…‥。、，！？；：।؟،؛()（）\[\]{}<>《》「」«»\"“”„*/\\|=+#~^&%$@€£—–-]+")


@dataclass(frozen=True)
class Piece:
    """A run of one script within one sentence.

    Attributes:
        text: The run.
        script: Its script; Han and Kana together are `Han`.
        language: ISO 639-1, or None when it cannot be told.
    """

    text: str
    script: str
    language: str | None


def pieces(text: str) -> tuple[Piece, ...]:
    """Cut a text into pieces and name the language of each.

    Args:
        text: An answer of a model.

    Returns:
        The pieces that hold letters, in order; empty when there are none.
    """
    prose = _NOT_PROSE.sub("\n", unicodedata.normalize("NFC", text))
    kana = any(_script(char) == "Kana" for char in prose)
    runs = [run for sentence in _SENTENCE_END.split(prose) for run in _runs(sentence)]
    return tuple(Piece(run, script, _language(run, script, kana)) for run, script in runs)


def is_other(piece: Piece, language: str) -> bool | None:
    """Say whether a piece is in another language than the one expected; None when that cannot be told.

    A piece too short to identify still tells by its script (some Cyrillic letters are not English), except in Latin
    script, which names and abbreviations use in texts of any language.
    """
    if piece.language is not None:
        return piece.language != language
    if piece.script == "Latin" or language in _languages_of(piece.script):
        return None
    return True if _letters(piece.text) >= MIN_LETTERS and _varied(piece.text, piece.script) else None


def _languages_of(script: str) -> tuple[str, ...]:
    if script == "Han":
        return ("zh", "ja")
    return CANDIDATES[script] if script in CANDIDATES else (BY_SCRIPT[script],)


def _language(run: str, script: str, kana_nearby: bool) -> str | None:
    if not _varied(run, script):
        return None
    if script == "Han":
        if _letters(run) < MIN_HAN:
            return None
        own_kana = any(_script(char) == "Kana" for char in run)
        return "ja" if own_kana or (kana_nearby and _letters(run) < KANJI_ONLY) else "zh"
    if script in BY_SCRIPT:
        return BY_SCRIPT[script] if _letters(run) >= MIN_LETTERS else None
    if len(_words(run)) < MIN_WORDS:
        return None
    language, confidence = _identifier(script).classify(" ".join(_words(run)))
    return str(language) if confidence >= CONFIDENCE else None


@functools.cache
def _model() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@functools.cache
def _identifier(script: str) -> LanguageIdentifier:
    identifier = copy.copy(_model())  # the tables are shared; only the choice of columns is the copy's own
    identifier.set_languages(CANDIDATES[script])
    return identifier


def _runs(sentence: str) -> Iterator[tuple[str, str]]:
    """Runs of one script; what has no script (spaces, digits, punctuation) stays with the run before it."""
    scripts: list[str] = []
    for char in sentence:
        script = _script(char)
        scripts.append("Han" if script == "Kana" else script or (scripts[-1] if scripts else ""))
    for script, group in groupby(zip(scripts, sentence, strict=True), key=lambda pair: pair[0]):
        if script:
            yield "".join(char for _, char in group).strip(), script


@functools.lru_cache(maxsize=1 << 14)
def _script(char: str) -> str | None:
    if not char.isalpha():
        return None
    return next((script for first, last, script in _RANGES if first <= ord(char) <= last), None)


def _letters(run: str) -> int:
    return sum(_script(char) is not None for char in run)


def _words(run: str) -> list[str]:
    """What stands between spaces, digits and marks; vowel signs and apostrophes belong to their word."""
    return [word for word in _BETWEEN_WORDS.split(run) if any(char.isalpha() for char in word)]


def _varied(run: str, script: str) -> bool:
    words = [word.casefold() for word in _words(run)]
    if len(words) >= MIN_WORDS:
        return len(set(words)) >= max(3, MIN_VARIETY * len(words))
    letters = [char for word in words for char in word if char.isalpha()]
    pairs = list(pairwise(letters))  # pairs, because a long run in an alphabet repeats every letter
    return len(set(letters)) >= (2 if script == "Han" else 3) and len(set(pairs)) >= MIN_VARIETY * len(pairs)
