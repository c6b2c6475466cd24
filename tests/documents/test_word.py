import pytest

from doxa.documents.word import read_word
from papers import paper, paragraph, run

AUTHOR = 'w:id="9" w:author="A" w:date="2026-01-01T00:00:00Z"'


def texts(*paragraphs: str, **more: object) -> list[str]:
    return [one.passage.text for one in read_word(paper(*paragraphs, **more)).passages]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (run("14") + run("/520", "<w:b/>"), "14/520"),
        (run("was ") + f"<w:del {AUTHOR}><w:r><w:delText>13</w:delText></w:r></w:del>" + run("14/520"), "was 14/520"),
        (run("was ") + f"<w:ins {AUTHOR}>{run('14/520')}</w:ins>", "was 14/520"),
        (f"<w:moveFrom {AUTHOR}>{run('gone')}</w:moveFrom><w:moveTo {AUTHOR}>{run('here')}</w:moveTo>", "here"),
        (f'<w:hyperlink w:anchor="x">{run("14/520")}</w:hyperlink>', "14/520"),
        (run("14/520") + run("3", '<w:vertAlign w:val="superscript"/>'), "14/520³"),
        (run("10") + run("-5", '<w:vertAlign w:val="superscript"/>'), "10⁻⁵"),
        (run("seen") + run("hidden", "<w:vanish/>") + run("shown", '<w:vanish w:val="0"/>'), "seenshown"),
        ('<w:r><w:t>2.1</w:t><w:sym w:font="Symbol" w:char="F0B1"/><w:t>1</w:t></w:r>', "2.1±1"),
        ("<w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r>", "a\tb\nc"),
        ("<m:oMath><m:r><m:t>p=.05</m:t></m:r></m:oMath>", "p=.05"),
        (
            "<m:oMath><m:f><m:num><m:r><m:t>26</m:t></m:r></m:num><m:den><m:r><m:t>520</m:t></m:r></m:den></m:f></m:oMath>",
            "26/520",
        ),
        (
            "<m:oMath><m:sSup><m:e><m:r><m:t>10</m:t></m:r></m:e><m:sup><m:r><m:t>5</m:t></m:r></m:sup></m:sSup></m:oMath>",
            "10^5",
        ),
        (
            '<w:r><w:fldChar w:fldCharType="begin"/><w:instrText>REF x 14/520</w:instrText>'
            '<w:fldChar w:fldCharType="separate"/><w:t>Table 1</w:t><w:fldChar w:fldCharType="end"/></w:r>',
            "Table 1",
        ),
        (f"<w:sdt><w:sdtPr/><w:sdtContent>{run('14/520')}</w:sdtContent></w:sdt>", "14/520"),
        (f"<w:ins {AUTHOR}><w:hyperlink>{run('deep')}</w:hyperlink></w:ins>", "deep"),
    ],
)
def test_the_text_is_that_of_all_changes_accepted(inner: str, expected: str) -> None:
    assert texts(paragraph(inner)) == [expected]


def test_tables_are_read_cell_by_cell() -> None:
    cells = "".join(f"<w:tc>{paragraph(run(text))}</w:tc>" for text in ("14/520", "26/520"))
    found = read_word(paper("before", f"<w:tbl><w:tblPr/><w:tblGrid/><w:tr>{cells}</w:tr></w:tbl>")).passages
    assert [one.passage.text for one in found] == ["before", "14/520", "26/520"]
    assert [one.passage.place for one in found] == ["paragraph 1", "table, paragraph 2", "table, paragraph 3"]


BOX = (
    '<w:r><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx><w:txbxContent>{0}</w:txbxContent>'
    "</wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>{0}</w:txbxContent></v:textbox></w:pict>"
    "</mc:Fallback></mc:AlternateContent></w:r>"
)


def test_a_text_box_is_read_once_and_held_by_its_paragraph() -> None:
    found = read_word(paper(paragraph(run("outside") + BOX.format(paragraph(run("14/520")))))).passages
    assert [(one.passage.text, one.story) for one in found] == [("outside", "body"), ("14/520", "text box")]
    assert found[1].holder is found[0].holder


def test_footnotes_follow_the_paragraph_that_refers_to_them() -> None:
    mark = '<w:r><w:footnoteReference w:id="{}"/></w:r>'
    deleted = f"<w:del {AUTHOR}>{mark.format(3)}</w:del>"
    document = paper(
        paragraph(run("first") + mark.format(2) + deleted), "second", notes={2: "It was 14/520.", 3: "deleted"}
    )
    found = read_word(document).passages
    assert [(one.passage.text, one.story) for one in found] == [
        ("first", "body"),
        ("It was 14/520.", "footnote"),
        ("second", "body"),
    ]
    assert found[1].holder is found[0].holder
    assert found[1].passage.place == "footnote of paragraph 1"


def test_what_was_not_read_is_said() -> None:
    document = paper("text")
    assert read_word(document).unread == ()
    document.sections[0].header.paragraphs[0].text = "14/520"
    assert read_word(document).unread == ("1 header or footer",)


def test_an_empty_document_has_no_passages() -> None:
    assert texts() == []
