"""Make the lifter's weights from nothing but a mocap folder.

    pip install moderngl
    python tools/lifter MOCAP_FOLDER -o sfv_core/lift/lifter.npz [--work FOLDER] [--sequences 100] [--minutes 25]

Draws training and validation pairs (about 5 s of one core for each sequence of 96 pictures), then trains. Files already
in the work folder are used again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_VALIDATION_SEQUENCES = 30


def main() -> None:
    """Make pairs and weights as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path, help="folder of ASF and AMC files, such as CMU's subjects 01 to 03")
    parser.add_argument("-o", "--out", type=Path, required=True, help="weights to write")
    parser.add_argument("--work", type=Path, default=Path("lifter_work"), help="folder for the pairs")
    parser.add_argument("--sequences", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=25.0, help="time to train")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, count, seed in (("validation", _VALIDATION_SEQUENCES, 99), ("train", options.sequences, 1)):
        files[split] = options.work / f"{split}_{count}.npz"
        if not files[split].exists():
            _run("pairs.py", options.mocap, "-o", files[split], "--sequences", count, "--split", split, "--seed", seed)
    _run("train.py", options.mocap, files["train"], "--validation", files["validation"], "-o", options.out,
         "--minutes", options.minutes)


def _run(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(_HERE / script), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
