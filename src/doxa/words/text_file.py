"""A text that somebody wrote, read from a file: of a size that a person writes, and in UTF-8."""

from pathlib import Path

from doxa.words.errors import UserError


def read_text_file(path: Path, most: int, what: str, refusal: type[UserError]) -> str:
    """The text of a file, its lines ended by a line feed.

    Args:
        path: The file.
        most: Bytes that it may have.
        what: What it should be, for the message.
        refusal: The error that is raised.

    Raises:
        UserError: As `refusal`, when the file is not there, is a folder, is too large or is not UTF-8.
        OSError: When it cannot be read for another reason.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        kind = "a folder" if isinstance(error, IsADirectoryError) else "missing"
        raise refusal(f"{path} is {kind}", expected=what, way_out="Check the name") from error
    if len(data) > most:
        raise refusal(
            f"{path} has more than {most:,} bytes",
            expected="a text that somebody wrote",
            way_out="Check that it is the right file, or split it",
        )
    try:
        text = data.decode("utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refusal(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} in line {line}",
            way_out="Save it as UTF-8 in your editor",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
