"""Judges what the story left in its folder: `judge.py FOLDER names|shares|choice|cost|faults|rights|writable`.
Exit code 0: it holds."""

import pathlib
import sys

import judged.choice
import judged.cost
import judged.faults
import judged.names
import judged.rights
import judged.shares
import judged.writable

if __name__ == "__main__":
    part = getattr(judged, sys.argv[2])
    wrong = list(part.judge(pathlib.Path(sys.argv[1])))
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(1 if wrong else 0)
