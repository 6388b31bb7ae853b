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

import bench
from bench import Figure

sys.path.append(str(Path(__file__).parents[1] / "tests/end_to_end"))

from counting import LOG
from driving import MASKLET, counting_backends, dataset, masklet
from killing import Round, Victim, rounds

KILLS = 20
CLAIM = f"{KILLS} times kill -9, and the same command again"
DATA = (Path(__file__).parents[1] / "../shared/data").resolve()
PHOTOS = 64
BATCH = 4


def main(results: Path = bench.RESULTS) -> int:
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
    again = sum(len(start.again) for a_round in done for start in a_round.starts)
    figures = [
        Figure("kills", len(kills), "", at_least=KILLS),
        Figure("between a run's first and last commit", sum(map(victim.inside, kills)), "kills", at_least=15),
        Figure("files of a run left alone", len(whole), "files", at_least=PHOTOS + 2),
        Figure("datasets of other bytes", sum(a_round.dataset != whole for a_round in done), "datasets", at_most=0),
        Figure("committed, and handed to a model again", again, "pictures", at_most=0),
        Figure("the most that one kill cost", max(len(kill.lost) for kill in kills), "pictures", at_most=BATCH),
    ]
    return bench.conclude("kills", CLAIM, figures, results)


def photos(desk: Path, data: Path) -> Victim:
    """A run of real models over real photos, with every picture that they are handed written down."""
    counting_backends(desk)
    model = data / "models/yolox_nano/yolox_nano.onnx"
    command = [
        *(MASKLET, "run", "photos_yolox", "--out", "killed", f"source.path={data / 'coco64'}", f"run.batch={BATCH}"),
        f'detect={{backend: "counting:Detector", inner: {{backend: yolox, model: "{model}"}}}}',
        'segment={backend: "counting:Segmenter", inner: {backend: grabcut}}',
    ]
    return Victim(command, desk, desk / "killed", desk / LOG, PHOTOS, pause_s=0.3)


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
