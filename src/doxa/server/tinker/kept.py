"""States and adapters on the disk, under `tinker://` addresses; nothing outside of one folder is read or written."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from doxa.models.handle import Model
from doxa.server.refusals import Refused
from doxa.training.adapter import write_adapter
from doxa.training.steps import Trainable
from doxa.words.errors import TrainingError
from doxa.words.store import faults, make_folder_atomic, read_json, write_json

Kind: TypeAlias = Literal["weights", "sampler_weights"]
STATE_FILE = "state.json"
_RUN = r"[0-9a-f]{8}-[0-9a-f-]{27}:train:[0-9]{1,9}"
_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
_ADDRESS = re.compile(rf"tinker://({_RUN})/(weights|sampler_weights)/({_NAME})")


@dataclass(frozen=True)
class Kept:
    """What is kept in a folder.

    Attributes:
        folder: Its name is the server's `--folder`.
        model: What is trained.
    """

    folder: Path
    model: Model

    def save(self, made: Trainable, run: str, kind: Kind, name: object, *, overwrite: bool) -> str:
        """Keep a state (with the optimizer) or an adapter; its address.

        Raises:
            Refused: When the name is none, or is taken.
            EnvironmentFault: When the disk is full.
        """
        address = f"tinker://{run}/{kind}/{name}"
        if not isinstance(name, str) or _ADDRESS.fullmatch(address) is None:
            raise Refused(
                400,
                f"the name {str(name)[:60]!r}",
                expected="up to 128 letters, digits, dashes, dots and underlines",
                way_out="Choose another",
            )
        place = self.place(address)
        if place.is_dir():
            if not overwrite:
                raise TrainingError(f"{address} is there", way_out="Choose another name, or say overwrite")
            with faults(place):
                shutil.rmtree(place)

        def fill(beside: Path) -> None:
            write_adapter(made, beside, with_optimizer=kind == "weights")
            state = {"base": self.model.fingerprint, "model": self.model.name, "rank": made.rank, "alpha": made.alpha}
            write_json(beside / STATE_FILE, state)

        make_folder_atomic(place, fill)
        return address

    def place(self, address: object) -> Path:
        """The folder of an address.

        Raises:
            Refused: When it is none.
        """
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None:
            raise Refused(
                400, f"the address {str(address)[:120]!r}", expected="tinker://RUN/weights/NAME", way_out="Mend it"
            )
        return self.folder / found[1] / found[2] / found[3]

    def state(self, address: object) -> tuple[Path, Mapping[str, Any]]:
        """The folder of an address, and what is said about it.

        Raises:
            Refused: When nothing is there, or it is another model's.
        """
        place = self.place(address)
        if not (place / STATE_FILE).is_file():
            raise Refused(404, f"there is no {address}", way_out="Mend the address, or the server's --folder")
        said = read_json(place / STATE_FILE, what="the state", way_out="Remove that folder")
        if said.get("base") != self.model.fingerprint:
            raise Refused(
                400,
                f"{address} belongs to {said.get('model')}",
                expected=f"{self.model.name}",
                way_out="Serve that model, or train anew",
            )
        return place, said
