"""A .docx file opened with care: what it holds is capped before it is unpacked, and no entity is expanded (law 10)."""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

from doxa.words.errors import DocumentError, EnvironmentFault

MAX_FILE = 256 << 20
"""Bytes of a .docx at most."""
MAX_UNPACKED = 512 << 20
"""Bytes of everything in it."""
MAX_XML = 96 << 20
"""Bytes of its XML, which takes ten times as much in memory."""
MAX_PARTS = 10_000

_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # a .doc, or what Office makes of a .docx that has a password
_AS_WORD = "Open it in Word, save it as a .docx without a password, and check that"


def need_docx() -> None:
    """Import python-docx.

    Raises:
        EnvironmentFault: When it is not installed.
    """
    try:
        import docx.document
        import docx.oxml.ns  # noqa: F401
    except ModuleNotFoundError as error:
        raise EnvironmentFault(f"{error.name} is not installed", way_out="pip install 'doxa[docx]'") from error


def open_docx(path: Path) -> Any:
    """Open a .docx.

    Args:
        path: The file, which is read and never written.

    Returns:
        python-docx's `Document`, a copy in memory.

    Raises:
        DocumentError: When it is missing, broken, protected, not a Word document, or unpacks to too much.
        EnvironmentFault: When python-docx is not installed.
    """
    need_docx()
    return open_bytes(_content(path), str(path))


def open_bytes(data: bytes, name: str) -> Any:
    """Open the bytes of a .docx; see `open_docx`."""
    need_docx()
    import docx
    from docx.opc.part import XmlPart
    from docx.oxml.parser import parse_xml

    _check_zip(data, name)
    try:
        document = docx.Document(io.BytesIO(data))
        read = [
            (part.partname, part.element) for part in document.part.package.iter_parts() if isinstance(part, XmlPart)
        ]
        for relation in document.part.rels.values():
            kind = relation.reltype.rpartition("/")[2]
            if kind in ("footnotes", "endnotes"):
                read.append((relation.target_part.partname, parse_xml(relation.target_part.blob)))
            elif kind in ("header", "footer"):
                relation.target_part.element.iter()
        if document.element.body is None:
            raise ValueError("it has no body")
        comments = [(one.comment_id, one.author, one.text) for one in document.comments]
        if len({one[0] for one in comments}) < len(comments):
            raise ValueError("two of its comments have the same id")
    # What python-docx and lxml raise on a file that somebody broke is not one family; nothing of ours runs in there.
    except Exception as error:
        raise _broken(name, error) from error
    for part, element in read:  # also where the name or the encoding of a part hid it from the look at its bytes
        if element.getroottree().docinfo.doctype:
            raise _declares(str(part).lstrip("/"), name)
    return document


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise DocumentError(f"{path} is a folder", expected="a .docx file", way_out="Check the name")
        if size > MAX_FILE:
            raise _too_much(str(path), f"{size:,} bytes", MAX_FILE)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DocumentError(f"{path} is missing", expected="a .docx file", way_out="Check the name") from error


def _check_zip(data: bytes, name: str) -> None:
    if not data:
        raise DocumentError(f"{name} is empty", expected="a .docx file", way_out="Check that it was saved whole")
    if data.startswith(_OLE):
        raise DocumentError(
            f"{name} has a password, or is in the old .doc format", expected="an open .docx", way_out=_AS_WORD
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            parts = package.infolist()
            if len(parts) > MAX_PARTS:
                raise _too_much(name, f"{len(parts):,} parts", MAX_PARTS)
            xml = [one for one in parts if one.filename.lower().endswith((".xml", ".rels"))]
            for some, most in ((parts, MAX_UNPACKED), (xml, MAX_XML)):
                # A part is never read further than the size that stands here, so the sum is what is unpacked.
                size = sum(one.file_size for one in some)
                if size > most:
                    raise _too_much(name, f"{size:,} bytes when it is unpacked", most)
            if any(one.flag_bits & 1 for one in parts):
                raise DocumentError(f"{name} has a password", expected="an open .docx", way_out=_AS_WORD)
            for one in xml:
                if b"<!DOCTYPE" in package.read(one).replace(b"\0", b""):
                    raise _declares(one.filename, name)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError, RuntimeError) as error:
        raise _broken(name, error) from error


def _declares(part: str, name: str) -> DocumentError:
    return DocumentError(
        f"{part} in {name} declares a document type, with which entities can be made",
        expected="the plain XML that Word writes",
        way_out="Do not trust this file; open it in a sandbox and save it again if it has to be read",
    )


def _too_much(name: str, found: str, most: int) -> DocumentError:
    return DocumentError(
        f"{name} has {found}",
        expected=f"at most {most:,}",
        way_out="Check that it is the right file; a copy without pictures may do",
    )


def _broken(name: str, error: Exception) -> DocumentError:
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return DocumentError(
        f"{name} cannot be read as a Word document ({said})",
        expected="a .docx file",
        way_out="Open it in Word, save it again as a .docx, and check that",
    )
