"""Trains configs one after the other on as many ranks as torchrun starts; run by test_two_ranks."""

import json
import sys
from pathlib import Path

from taskloom.place import external
from taskloom.tracking.run_folder import RunFolder
from taskloom.training.meeting import Meeting
from taskloom.training.train import train


def main(file: str, out: str) -> None:
    place = external()
    assert place is not None
    meeting = Meeting(place)
    for name, config in json.loads(Path(file).read_text()).items():
        folder = RunFolder(Path(out) / name)
        if place.rank == 0:
            folder = RunFolder.create(folder.path, {"config": config})
        train(config, folder, meeting)


if __name__ == "__main__":
    main(*sys.argv[1:])
