import subprocess
import sys

import pytest

from doxa.evals import language
from doxa.evals.language import Piece, is_other, pieces


def languages(text: str) -> list[str | None]:
    return [piece.language for piece in pieces(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("She closed the door and walked slowly towards the river.", "en"),
        ("Elle ferma la porte et marcha lentement vers la rivière.", "fr"),
        ("Ella cerró la puerta y caminó despacio hacia el río.", "es"),
        ("Sie schloss die Tür und ging langsam zum Fluss hinunter.", "de"),
        ("Lei chiuse la porta e camminò lentamente verso il fiume.", "it"),
        ("Ela fechou a porta e caminhou devagar em direção ao rio.", "pt"),
        ("Ze sloot de deur en liep langzaam naar de rivier.", "nl"),
        ("Hon stängde dörren och gick långsamt mot floden.", "sv"),
        ("Zamknęła drzwi i powoli poszła w stronę rzeki.", "pl"),
        ("Kapıyı kapattı ve yavaşça nehre doğru yürüdü.", "tr"),
        ("Cô ấy đóng cửa và đi chậm về phía con sông.", "vi"),
        ("Dia menutup pintu dan berjalan perlahan ke sungai.", "id"),
        ("Она закрыла дверь и медленно пошла к реке.", "ru"),
        ("Вона зачинила двері й повільно пішла до річки.", "uk"),
        ("Тя затвори вратата и тръгна бавно към реката.", "bg"),
        ("أغلقت الباب وسارت ببطء نحو النهر.", "ar"),
        ("او در را بست و آرام به سوی رودخانه رفت.", "fa"),
        ("उसने दरवाज़ा बंद किया और धीरे-धीरे नदी की ओर चली गई", "hi"),
        ("तिने दार बंद केले आणि ती हळूहळू नदीकडे गेली", "mr"),
        ("她关上门，慢慢地走向河边。", "zh"),
        ("彼女はドアを閉めて、ゆっくりと川へ歩いていった。", "ja"),
        ("그녀는 문을 닫고 천천히 강으로 걸어갔다.", "ko"),
        ("Έκλεισε την πόρτα και περπάτησε αργά προς το ποτάμι.", "el"),
        ("היא סגרה את הדלת והלכה לאט אל הנהר.", "he"),
        ("เธอปิดประตูแล้วเดินช้าๆ ไปที่แม่น้ำ เธอปิดประตูแล้วเดินไปตลาดเพื่อซื้อผลไม้และดอกไม้ให้แม่ของเธอ", "th"),
        ("მან კარი დახურა და ნელა წავიდა მდინარისკენ.", "ka"),
    ],
)
def test_a_sentence_in_each_language(text: str, expected: str) -> None:
    assert languages(text) == [expected]


def test_every_language_that_can_come_out_is_stated() -> None:
    assert len(language.LANGUAGES) == len(set(language.LANGUAGES)) == 40
    for script, codes in language.CANDIDATES.items():
        assert set(codes) <= set(language._model().labels), script


def test_a_switch_in_mid_answer_is_a_piece_of_its_own() -> None:
    answer = "The sky turns red in the evening. 因为阳光穿过了更多的空气。 That is all there is to it."
    assert languages(answer) == ["en", "zh", "en"]
    assert [is_other(piece, "en") for piece in pieces(answer)] == [False, True, False]


def test_a_switch_of_script_inside_a_sentence_is_seen() -> None:
    assert pieces("You should boil the water 然后把茶叶放进去") == (
        Piece("You should boil the water", "Latin", "en"),
        Piece("然后把茶叶放进去", "Han", "zh"),
    )


def test_a_switch_between_sentences_of_one_script_is_seen() -> None:
    assert languages("Put the kettle on the stove. Ensuite, versez l'eau chaude dans la théière.") == ["en", "fr"]


def test_code_links_and_markup_are_left_out() -> None:
    answer = (
        "Here is a small function for you:\n```python\nfor zeile in datei: print(zeile, und, oder, nicht, auch)\n```\n"
        "See https://beispiel.de/das/ist/nicht/englisch/und/auch/nicht for `der die das und oder`. <br>"
    )
    assert pieces(answer)[0] == Piece("Here is a small function for you:", "Latin", "en")
    assert {"de"}.isdisjoint(languages(answer))
    assert pieces("```\nan unfinished block of code that has no end") == ()


@pytest.mark.parametrize("text", ["", "42", "1, 2, 3: 4 + 5 = 9 (100 %)", "!!! ... ???", "\U0001f600 \U0001f680", "x"])
def test_numbers_and_marks_are_no_pieces_or_unknown(text: str) -> None:
    assert set(languages(text)) <= {None}
    if not any(char.isalpha() for char in text):
        assert pieces(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        "the the the the the the the the",
        "ab ab ab ab ab ab ab ab",
        "la la la la la la la la",
        "you know you know you know you know",
        "哈哈哈哈哈哈哈哈",
        "的是的是的是的是的是的是",
        "ααααααααααα",
        "привет привет привет привет привет",
        "aaaaaaaaaaaaaaaaaa bbbbbbbbbbbbb",
        "asdkjh qwlekj zxmcnb poiqwe",
        "qzx vbn mkl wrt plk jhg",
        "NaCl KMnO CuSO HCl NaOH",
        "Goldstein Nakamura Okafor Petrov",
    ],
)
def test_degenerate_text_has_no_language(text: str) -> None:
    assert languages(text) == [None]
    assert is_other(pieces(text)[0], "en") is None


def test_short_pieces_have_no_language() -> None:
    assert languages("Guten Morgen") == [None]
    assert languages("In Chinese the word 水 means water and nothing else.") == ["en", None, "en"]


def test_cyrillic_too_short_to_identify_is_still_not_english() -> None:
    (english, cyrillic) = pieces("The film was really очень")
    assert (english.language, cyrillic.language) == ("en", None)
    assert is_other(cyrillic, "en") is True
    assert is_other(cyrillic, "ru") is None


def test_latin_names_in_another_script_are_no_switch() -> None:
    found = pieces("我在 OpenAI GPT 的网站上看到了这个消息")
    assert [is_other(piece, "zh") for piece in found] == [False, None, False]


def test_japanese_with_a_heading_in_kanji_is_japanese_and_a_chinese_sentence_is_not() -> None:
    assert languages("東京都\n私はとても元気です。") == ["ja", "ja"]
    assert languages("私はとても元気です。我今天想去公园散步。") == ["ja", "zh"]
    assert is_other(pieces("東京都\n私はとても元気です。")[0], "ja") is False


def test_decomposed_letters_are_read_like_composed_ones() -> None:
    import unicodedata

    text = "Cô ấy đóng cửa và đi chậm về phía con sông."
    assert languages(unicodedata.normalize("NFD", text)) == languages(text) == ["vi"]


def test_two_processes_agree() -> None:
    texts = ["Mein Bruder wohnt dort", "Il faisait très froid dehors", "Sin cos tan log exp sqrt"]
    code = f"from doxa.evals.language import _identifier as i; print([i('Latin').classify(t) for t in {texts!r}])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip() == str([language._identifier("Latin").classify(text) for text in texts])
