"""What the processes of one training share in its folder, and the lines by which the first reports."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.character.character import Character
from sfv_core.config import TrainConfig
from sfv_core.imitate.prepare import Prepared

FORMAT_VERSION = 1
EXPLAINED = 2
"""Exit code of a process whose last words say what is wrong and what to do."""


@dataclass(frozen=True)
class Run:
    """A training's folder."""

    folder: Path

    @property
    def policy(self) -> Path:
        """The best policy so far."""
        return self.folder / "policy.pt"

    @property
    def curve(self) -> Path:
        """The evaluations so far."""
        return self.folder / "curve.json"

    @property
    def picture(self) -> Path:
        """The evaluations as a picture."""
        return self.folder / "curve.png"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints and of the files below."""
        return self.folder / "checkpoints"

    @property
    def setup(self) -> Path:
        """Configuration, character and fingerprint of what is learnt."""
        return self.checkpoints / "run.json"

    @property
    def reference(self) -> Path:
        """The motion on the character's skeleton."""
        return self.checkpoints / "reference.npz"

    @property
    def captured(self) -> Path:
        """The motion on the skeleton that it was captured on."""
        return self.checkpoints / "captured.npz"

    def log(self, rank: int) -> Path:
        """What a process wrote to its standard error."""
        return self.checkpoints / f"rank{rank}.log"

    def fingerprint(self) -> str | None:
        """Return the fingerprint of what was learnt here before; None where nothing was."""
        try:
            return json.loads(self.setup.read_text(encoding="utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, fingerprint: str, config: TrainConfig, prepared: Prepared) -> None:
        """Write what the processes need."""
        prepared.captured.save(self.captured)
        prepared.reference.save(self.reference)
        write_json(self.setup, {"format": FORMAT_VERSION, "fingerprint": fingerprint, "config": asdict(config),
                                "character": prepared.character.to_dict()})

    def read(self) -> tuple[TrainConfig, Motion, Character]:
        """Read what `write` wrote."""
        data = json.loads(self.setup.read_text(encoding="utf-8"))
        return (TrainConfig(**data["config"]), Motion.load(self.reference), Character.from_dict(data["character"]))


def write_json(path: Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")


def read_report(line: str) -> dict[str, Any] | None:
    """Read one line from the first process; None for anything that is no report."""
    try:
        data = json.loads(line)
    except ValueError:
        return None
    if isinstance(data, dict) and data.get("type") in ("progress", "finished"):
        return data
    return None


