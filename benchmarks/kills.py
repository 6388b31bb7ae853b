"""A run that is killed goes on where it was: `kill -9`, twenty times, on real photos.

    python benchmarks/kills.py

YOLOX and GrabCut over 64 COCO photos. A start of the command is killed between its first and its last commit, or while
the dataset is written; then the same command is given again. The dataset has the bytes of one whose run was left alone,
no picture that was committed is handed to a model again, and a kill costs at most one batch. Exits with 1 where that
does not hold. Needs ../shared/data beside the repository.
"""

import sys
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests/end_to_end"))

from counting import LOG
from driving import MASKLET, counting_backends, dataset, masklet
from killing import Round, Victim, rounds

DATA = (Path(__file__).parents[1] / "../shared/data").resolve()
KILLS = 20
AT_LEAST_INSIDE = 15
BATCH = 4
PHOTOS = 64


def main() -> int:
    if not DATA.is_dir():
        print(f"needs {DATA}: real photos that are not part of the repository", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as desk:
        victim = photos(Path(desk), DATA)
        masklet(*victim.command[1:], "--out", "whole", cwd=victim.desk)
        whole = dataset(victim.desk / "whole")
        done = rounds(victim, KILLS, seed=1)
    print(table(victim, done))
    kills = [kill for a_round in done for kill in a_round.kills]
    starts = [start for a_round in done for start in a_round.starts]
    inside = sum(victim.inside(kill) for kill in kills)
    same = sum(a_round.dataset == whole for a_round in done)
    again, most = sum(len(start.again) for start in starts), max(len(kill.lost) for kill in kills)
    print(f"\n{len(kills)} kills, {inside} of them between the first and the last commit of their run")
    print(f"{same} of {len(done)} datasets have the bytes of the run that was left alone ({len(whole)} files)")
    print(
        f"{again} committed pictures were handed to a model again; a kill cost at most {most} pictures (batch: {BATCH})"
    )
    fine = whole and same == len(done) and not again and most <= BATCH and inside >= AT_LEAST_INSIDE
    return 0 if fine else 1


def photos(desk: Path, data: Path) -> Victim:
    """A run of real models over real photos, with every picture that they are handed written down."""
    counting_backends(desk)
    model = data / "models/yolox_nano/yolox_nano.onnx"
    command = [
        *(MASKLET, "run", "photos_yolox", "--out", "killed", f"source.path={data / 'coco64'}", f"run.batch={BATCH}"),
        f'detect={{backend: "counting:Detector", inner: {{backend: yolox, model: "{model}"}}}}',
        'segment={backend: "counting:Segmenter", inner: {backend: grabcut}}',
    ]
    return Victim(command, desk, desk / "killed", desk / LOG, PHOTOS)


def table(victim: Victim, done: Sequence[Round]) -> str:
    """A line a kill."""
    lines = ["kill  run  in the midst of  committed before -> at the kill, of  inside  handed twice"]
    number = count(1)
    for which, a_round in enumerate(done, 1):
        for kill in a_round.kills:
            inside = "yes" if victim.inside(kill) else "no"
            before, after = len(kill.before), len(kill.after)
            lines.append(
                f"{next(number):4} {which:4}  {kill.killed:16} {before:16} -> {after:4} of {victim.pictures:7}"
                f"  {inside:6}  {len(kill.lost):12}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
