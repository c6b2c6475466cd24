"""`doxa check`: a published claim, recomputed; or every claim of a document."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from doxa.verbs.in_words import PATH, in_words
from doxa.words.errors import ClaimError

if TYPE_CHECKING:
    from doxa.claims.checked import Check

DOCUMENTS = (".md", ".docx", ".txt")
OTHERS = (".pdf", ".doc", ".odt", ".rtf", ".html", ".tex")
"""Documents that are not read."""
BASE_RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@click.command()
@click.argument("claim")
@click.option("--reported", help="The p-value that is reported: p=0.053, 'p<.001', n.s.")
@click.option("--paired/--unpaired", default=None, help="Whether both groups saw the same items; not said otherwise.")
@click.option("--margin", type=float, help="Largest difference that counts as none; points for rates.")
@click.option("--level", type=float, default=0.95, show_default=True, help="Level of the intervals.")
@click.option("--figure", type=PATH, help="Write p against the base rate to this .svg or .png.")
@click.option("--out", type=PATH, help="For a document: the file with the notes or comments.")
@click.option("--json", "as_json", is_flag=True, help="Print it for a program.")
@in_words
def check(
    claim: str,
    reported: str | None,
    paired: bool | None,
    margin: float | None,
    level: float,
    figure: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Recompute a published claim from its counts, rates, means or interval; or check a document (.md, .txt, .docx).

    \b
    Example:
        doxa check "26/520 vs 14/520" --reported p=0.053
        doxa check "5.0% vs 2.7%, n=520" --paired --figure p.svg
        doxa check "M=5.2 SD=1.1 n=30 vs M=4.8 SD=1.3 n=28" --margin 1
        doxa check "2.1 [0.3, 3.9]" --reported p=.022
        doxa check "gap of 2.0 points, n=520" --reported p=.053
    """
    if _is_document(claim):
        if reported is not None or paired is not None or margin is not None or figure is not None:
            raise ClaimError(
                f"{claim} with --reported, --paired, --margin or --figure",
                expected="these with a claim, not with a document",
                way_out="Leave them out",
            )
        from doxa.verbs.check_document import check_document

        check_document(Path(claim), out, as_json)
        return
    from doxa.claims.check import check_claim, check_to_json, findings
    from doxa.claims.claims import parse_claim

    if out is not None:
        raise ClaimError("--out with a claim", expected="it with a document", way_out="Use --figure for the figure")
    found = check_claim(parse_claim(claim, reported, paired=paired, margin=margin, level=level))
    said = findings(found)
    if figure is not None:
        _draw(found, figure)
    if as_json:
        click.echo(json.dumps(check_to_json(found, said), indent=1, allow_nan=False))
        return
    click.echo(f"{found.claim}" + (f", reported {found.reported}" if found.reported else ""))
    for sentence in said:
        click.echo(click.wrap_text(sentence, width=100, initial_indent="- ", subsequent_indent="  "))
    for line in _table(found):
        click.echo(line)


def _is_document(claim: str) -> bool:
    """Whether this is the path of a document.

    Raises:
        ClaimError: When it is one by its ending, and not there.
    """
    ending = Path(claim).suffix.lower()
    if ending in OTHERS:
        raise ClaimError(
            f"{claim[:200]} ends with {ending!r}",
            expected=f"a claim, or a document that ends with {', '.join(DOCUMENTS)}",
            way_out="Save it as .docx",
        )
    if ending not in DOCUMENTS:
        return False
    if os.path.isfile(claim):
        return True
    raise ClaimError(f"no file {claim[:200]}", way_out="Correct the path, or write the claim itself")


def _draw(found: "Check", figure: Path) -> None:
    from doxa.report.claim_figures import p_against_base_rate

    if figure.suffix.lower() not in (".svg", ".png"):
        raise ClaimError(f"a figure {figure.name}", expected="a name that ends in .svg or .png", way_out="Write p.svg")
    drawing = p_against_base_rate(found)
    if figure.suffix.lower() == ".svg":
        figure.write_text(drawing.svg, encoding="utf-8")
    else:
        figure.write_bytes(drawing.png)


def _table(found: "Check") -> list[str]:
    """The p-values of the same gap at other base rates."""
    from doxa.claims.base_rates import pooled_p
    from doxa.words.numbers import p_figures

    curve = found.curve
    if curve is None:
        return []
    rates = [one for one in BASE_RATES if one + curve.gap <= 1]
    heads = [f"{100 * one:g} %" for one in rates]
    p = [p_figures(pooled_p(one, curve.gap, curve.n, curve.m)) for one in rates]
    widths = [max(len(a), len(b)) for a, b in zip(heads, p, strict=True)]
    return [
        f"{name:14s}" + "  ".join(f"{one:>{width}s}" for one, width in zip(cells, widths, strict=True))
        for name, cells in (("base rate", heads), ("p (pooled z)", p))
    ]
