"""The embedded model as the peers can load it."""

import json
import shutil
import zipfile
from pathlib import Path

from doxa.models.embedded import MEMBER, embedded_folder, wheel_path


def model_folder(environments: Path) -> Path:
    """A folder with the network of the embedded model, its tokenizer, and the file that both were converted from.

    Transformers 4 looks for the base of the rotations at another place in `config.json` than Transformers 5 writes it
    to, and computes with another one when it is not there: it stands at both.
    """
    source, fingerprint = embedded_folder()
    folder = environments / f"model-{fingerprint[:12]}"
    if not folder.is_dir():
        beside = folder.with_suffix(".making")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(source, beside)
        config = beside / "config.json"
        settings = json.loads(config.read_text(encoding="utf-8"))
        settings["rope_theta"] = settings["rope_parameters"]["rope_theta"]
        config.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        with (
            zipfile.ZipFile(wheel_path()) as wheel,
            wheel.open(MEMBER) as packed,
            (beside / "source.gguf").open("wb") as file,
        ):
            shutil.copyfileobj(packed, file)
        beside.rename(folder)
    return folder
