"""Which language identifier: lingua or py3langid?

    python benchmarks/language_identifiers.py            # a process per candidate, one table
    python benchmarks/language_identifiers.py lingua     # one candidate

The segments were written for this comparison: 12 languages in Latin script, three languages in Cyrillic, two each in
Arabic and Devanagari script, and junk (code, numbers, gibberish, repetition, names) that belongs to no language.
Scripts that settle the language by themselves (Han, Kana, Hangul, Greek, Hebrew, Thai) are not asked of an identifier.
Candidates see the languages of each script only. Where the system has gettext catalogues, their strings are a second,
larger set that nobody chose. `pip install lingua-language-detector==2.1.1 py3langid==0.4.0` first.
"""

import copy
import gettext
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

Identify = Callable[[str, tuple[str, ...]], tuple[str, float]]

LATIN = ("en", "fr", "es", "de", "it", "pt", "nl", "sv", "pl", "tr", "vi", "id")
CYRILLIC = ("ru", "uk", "bg")
ARABIC = ("ar", "fa")
DEVANAGARI = ("hi", "mr")

# fmt: off
# From two words to a long sentence, some as a model would write them
SEGMENTS: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning everyone", "The weather was cold", "Here are some tips to help",
        "She closed the door and walked slowly towards the river.", "Sure! I'd be happy to help you with that.",
        "As an AI language model, I do not have feelings", "1. Start by making a list of your goals",
        "To bake bread, you need flour, water, yeast and salt.", "Dear Mr. Henderson, thank you for your letter",
        "I am not sure what you mean by that.",
    ),
    "fr": (
        "Bonjour à tous", "Il faisait froid", "Voici quelques conseils utiles pour vous",
        "Elle ferma la porte et marcha lentement vers la rivière.", "Bien sûr, je serais ravi de vous aider.",
        "Le pain est fait avec de la farine",
    ),
    "es": (
        "Buenos días amigos", "Hacía mucho frío", "Aquí tienes algunos consejos para empezar",
        "Ella cerró la puerta y caminó despacio hacia el río.", "Claro, estaré encantado de ayudarte con eso.",
        "La casa de mi abuela es muy grande",
    ),
    "de": (
        "Guten Morgen zusammen", "Das Wetter war kalt", "Hier sind einige Tipps für den Anfang",
        "Sie schloss die Tür und ging langsam zum Fluss hinunter.", "Natürlich helfe ich dir gerne dabei.",
        "Mein Bruder wohnt in einer kleinen Stadt",
    ),
    "it": (
        "Buongiorno a tutti", "Faceva molto freddo", "Ecco alcuni consigli per cominciare bene",
        "Lei chiuse la porta e camminò lentamente verso il fiume.", "Certo, sarei felice di aiutarti con questo.",
        "Mia sorella abita vicino alla stazione",
    ),
    "pt": (
        "Bom dia a todos", "Estava muito frio", "Aqui estão algumas dicas para começar",
        "Ela fechou a porta e caminhou devagar em direção ao rio.", "Claro, ficarei feliz em ajudar você com isso.",
        "Não sei onde deixei as minhas chaves",
    ),
    "nl": (
        "Goedemorgen allemaal", "Het was erg koud", "Hier zijn een paar tips om te beginnen",
        "Ze sloot de deur en liep langzaam naar de rivier.", "Natuurlijk help ik je daar graag mee.",
        "Mijn broer woont in een klein huis",
    ),
    "sv": (
        "God morgon allihopa", "Det var mycket kallt", "Här är några tips för att komma igång",
        "Hon stängde dörren och gick långsamt mot floden.", "Självklart hjälper jag dig gärna med det.",
        "Min bror bor i en liten stad",
    ),
    "pl": (
        "Dzień dobry wszystkim", "Było bardzo zimno", "Oto kilka porad na dobry początek",
        "Zamknęła drzwi i powoli poszła w stronę rzeki.", "Oczywiście, chętnie ci w tym pomogę.",
        "Mój brat mieszka w małym domu",
    ),
    "tr": (
        "Herkese günaydın", "Hava çok soğuktu", "İşte başlamak için birkaç öneri",
        "Kapıyı kapattı ve yavaşça nehre doğru yürüdü.", "Elbette, bu konuda size yardımcı olmaktan mutluluk duyarım.",
        "Kardeşim küçük bir şehirde yaşıyor",
    ),
    "vi": (
        "Chào buổi sáng mọi người", "Trời rất lạnh", "Dưới đây là một vài lời khuyên",
        "Cô ấy đóng cửa và đi chậm về phía con sông.", "Tất nhiên, tôi rất vui được giúp bạn việc đó.",
        "Anh trai tôi sống ở một thành phố nhỏ",
    ),
    "id": (
        "Selamat pagi semuanya", "Cuacanya sangat dingin", "Berikut adalah beberapa saran untuk memulai",
        "Dia menutup pintu dan berjalan perlahan ke sungai.", "Tentu saja, saya senang membantu Anda.",
        "Adik saya tinggal di kota kecil",
    ),
    "ru": ("Всем доброе утро", "Вот несколько советов для начала", "Она закрыла дверь и медленно пошла к реке."),
    "uk": ("Доброго ранку всім", "Ось кілька порад для початку", "Вона зачинила двері й повільно пішла до річки."),
    "bg": ("Добро утро на всички", "Ето няколко съвета за начало", "Тя затвори вратата и тръгна бавно към реката."),
    "ar": ("صباح الخير جميعا", "إليك بعض النصائح للبدء", "أغلقت الباب وسارت ببطء نحو النهر."),
    "fa": ("صبح همگی بخیر", "در اینجا چند نکته برای شروع آمده است", "او در را بست و آرام به سوی رودخانه رفت."),
    "hi": ("सभी को सुप्रभात", "शुरू करने के लिए यहाँ कुछ सुझाव हैं", "उसने दरवाज़ा बंद किया और धीरे-धीरे नदी की ओर चली गई।"),
    "mr": ("सर्वांना शुभ सकाळ", "सुरुवात करण्यासाठी येथे काही सूचना आहेत", "तिने दार बंद केले आणि ती हळूहळू नदीकडे गेली."),
}
# Latin letters that are no text in any language; the right answer is a low confidence.
JUNK = (
    "x = foo(bar, baz) + qux[idx]", "for i in range(len(arr)): tmp += arr[i]", "def __init__(self, cfg): pass",
    "asdkjh qwlekj zxmcnb poiqwe", "the the the the the the the", "lol lol lol lol lol", "ab ab ab ab ab ab ab",
    "km cm mm kg mg ml", "NaCl H2SO4 C6H12O6 KMnO4", "Goldstein Nakamura Okafor Petrov", "ffff gggg hhhh jjjj",
    "aaaaaaaaaaaaaaaaaaaa bbbbbbbb", "ISBN ISSN DOI HTTP XML JSON", "a b c d e f g h i j k l", "zzz qqq xxx zzz www",
    "la la la la la la", "Sin cos tan log exp sqrt", "import numpy as np", "Tokio Paris Berlin Madrid Roma",
    "ugh hmm pfff argh brrr", "qzx vbn mkl wrt plk jhg", "foo bar baz qux quux corge",
)
# fmt: on
THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
CATALOGUES = Path("/usr/share/locale")  # gettext: real strings of programs, where the system has them
PER_LANGUAGE = 500
ENGLISH = 2000
LENGTHS = {"2-3 words": (2, 3), "4-6 words": (4, 6), "7-14 words": (7, 14)}


def lingua(low_accuracy: bool = False) -> Identify:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    detectors = {}

    def identify(text: str, languages: tuple[str, ...]) -> tuple[str, float]:
        if languages not in detectors:
            codes = [IsoCode639_1.from_str(code) for code in languages]
            builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
            detectors[languages] = (builder.with_low_accuracy_mode() if low_accuracy else builder).build()
        best = detectors[languages].compute_language_confidence_values(text)[0]
        return best.language.iso_code_639_1.name.lower(), best.value

    return identify


def py3langid() -> Identify:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    whole = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifiers = {}

    def identify(text: str, languages: tuple[str, ...]) -> tuple[str, float]:
        if languages not in identifiers:
            identifiers[languages] = copy.copy(whole)
            identifiers[languages].set_languages(languages)
        return identifiers[languages].classify(text)

    return identify


CANDIDATES: dict[str, Callable[[], Identify]] = {
    "lingua": lingua,
    "lingua-low": lambda: lingua(low_accuracy=True),
    "py3langid": py3langid,
}


def script_of(language: str) -> tuple[str, ...]:
    return next(each for each in (LATIN, CYRILLIC, ARABIC, DEVANAGARI) if language in each)


def catalogues() -> dict[str, list[str]]:
    """Strings of 2 to 14 words by language, shuffled by a fixed seed; empty on a system without gettext."""
    english: set[str] = set()
    others: dict[str, set[str]] = {}
    for code in LATIN[1:]:
        others[code] = set()
        for file in (CATALOGUES / {"pt": "pt_BR"}.get(code, code) / "LC_MESSAGES").glob("*.mo"):
            try:
                with file.open("rb") as opened:
                    messages = gettext.GNUTranslations(opened)._catalog
            except (OSError, UnicodeDecodeError):
                continue
            for key, translated in messages.items():
                original = _clean(key[0] if isinstance(key, tuple) else key)
                if original and _clean(translated) and original != _clean(translated):
                    english.add(original)
                    others[code].add(_clean(translated))
    texts = {code: sorted(found - english) for code, found in others.items()} | {"en": sorted(english)}
    for found in texts.values():
        random.Random(1).shuffle(found)
    return texts


def _clean(text: str) -> str:
    """The text without format codes, or nothing when it is not a plain phrase."""
    text = re.sub(r"\s+", " ", re.sub(r"%[-#0 +']*\d*(?:\.\d+)?(?:l|ll|z|j)?[a-zA-Z]", " ", text)).strip()
    plain = re.fullmatch(r"[^\W\d_][\w ,.'’;:()!?«»\"-]*", text) and not re.search(r"[\d_]|--", text)
    return text if plain and 2 <= len(text.split()) <= 14 else ""


def shares(answers: list[tuple[str, str, float]]) -> dict[float, tuple[float, float]]:
    """By threshold: share of the answers that reach it, share of all that reach it and are wrong."""
    return {
        threshold: (
            round(sum(c >= threshold for *_, c in answers) / len(answers), 3),
            round(sum(a != b and c >= threshold for a, b, c in answers) / len(answers), 4),
        )
        for threshold in THRESHOLDS
    }


def measure(name: str, verbose: bool) -> dict[str, object]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    identify = CANDIDATES[name]()
    identify("A first sentence loads the model.", LATIN)
    load = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    texts = [(text, code) for code, texts in SEGMENTS.items() for text in texts]
    answers = [(code, *identify(text, script_of(code))) for text, code in texts]
    start = time.perf_counter()
    for text, _ in texts:
        identify(text, LATIN)
    each = (time.perf_counter() - start) / len(texts)
    junk = [(text, *identify(text, LATIN)) for text in JUNK]
    if verbose:
        for (text, code), (_, found, confidence) in zip(texts, answers, strict=True):
            print(f"{'   ' if found == code else 'XX '} {code} {found} {confidence:.2f} {text}")
        for text, found, confidence in junk:
            print(f"junk  {found} {confidence:.2f} {text}")
    result: dict[str, object] = {
        "name": name,
        "first use, s": round(load, 2),
        "peak memory, MB": round(peak / 1024),
        "ms a segment": round(each * 1e3, 2),
        "own segments": len(answers),
        "threshold: (known, wrong)": shares(answers),
        "junk taken for a language": {t: round(sum(c >= t for *_, c in junk) / len(junk), 2) for t in THRESHOLDS},
    }
    for label, (low, high) in LENGTHS.items():
        by_language = {}
        for code, found in catalogues().items():
            most = ENGLISH if code == "en" else PER_LANGUAGE
            some = [text for text in found if low <= len(text.split()) <= high][:most]
            if some:
                by_language[code] = shares([(code, *identify(text, LATIN)) for text in some])
        if by_language:
            result[f"gettext, {label}, English"] = by_language["en"]
            result[f"gettext, {label}, mean of {len(by_language)} languages"] = {
                t: tuple(round(sum(by[t][i] for by in by_language.values()) / len(by_language), 4) for i in (0, 1))
                for t in THRESHOLDS
            }
    return result


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "-v"]
    if names:
        print(json.dumps(measure(names[0], verbose="-v" in sys.argv)))
        return
    for name in CANDIDATES:
        run = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
        for key, value in json.loads(run.stdout).items():
            print(f"{key:>45}: {value}")
        print()


if __name__ == "__main__":
    main()
