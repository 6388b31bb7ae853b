"""What masklet's detect stage finds is what the same ONNX file finds alone.

    python benchmarks/yolox_alone.py

A run over 64 COCO photos, and beside it a plain loop that shares no code with masklet: OpenCV reads the file, the rules
are YOLOX's own, pycocotools scores. The AP50 of the boxes differs by at most 0.001. Also printed: what became of the
boxes (masks by GrabCut), and how many objects were lost to an empty mask. Needs ../shared/data beside the repository.
"""

import io
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from bench import Figure, conclude

SHARED = (Path(__file__).parents[1] / "../shared/data").resolve()
PHOTOS, MODEL = SHARED / "coco64", SHARED / "models/yolox_nano/yolox_nano.onnx"
FLOOR, NMS, MOST, SIDE, THREADS = 0.01, 0.65, 300, 416, 1
AT_MOST = 0.001


def main() -> int:
    if not MODEL.is_file():
        print(f"needs {SHARED}: photos and a detector that are not part of the repository", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as place:
        run = through_masklet(Path(place))
    ours, alone = run["kinds"]["detector_box"]["ap50"], ap50(found_alone())
    figures = [
        Figure("detector_box AP50 through masklet", ours, ""),
        Figure("AP50 of the model alone", alone, ""),
        Figure("difference", abs(ours - alone), "", at_most=AT_MOST),
        *(Figure(f"{kind} AP50", run["kinds"][kind]["ap50"], "") for kind in ("mask_box", "mask")),
        Figure("objects lost to an empty mask", run["lost_to_empty_mask"], ""),
    ]
    return conclude("yolox_alone", "the detect stage loses nothing that the model finds", figures)


def through_masklet(place: Path) -> dict[str, Any]:
    """The figures of `masklet evaluate` after `masklet run`."""
    from pipeline import engine
    from pipeline.config import load
    from pipeline.evaluate.of_run import evaluate_run
    from pipeline.store import Store

    words = [f"source.path={PHOTOS / 'images'}", f"detect.model={MODEL}", f"detect.floor={FLOOR}", f"detect.nms={NMS}"]
    config = load("photos_yolox", [*words, f"detect.max_objects={MOST}", f"run.threads={THREADS}"])
    engine.run(config, place / "run")
    with Store(place / "run" / "run.db") as store:
        return evaluate_run(config, store, PHOTOS / "instances.json")


def found_alone() -> list[dict[str, Any]]:
    """COCO results of the model in a plain loop: YOLOX's `preproc`, `demo_postprocess` and `multiclass_nms`."""
    import cv2
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(MODEL), options, providers=["CPUExecutionProvider"])
    truth = json.loads((PHOTOS / "instances.json").read_text())
    category = [c["id"] for c in sorted(truth["categories"], key=lambda c: c["id"])]
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(SIDE // s) for x in range(SIDE // s)]
    grid, stride = np.array([c[:2] for c in cells]), np.array([c[2:] for c in cells])
    results = []
    for image in truth["images"]:
        bgr = cv2.imread(str(PHOTOS / "images" / image["file_name"]))
        ratio = min(SIDE / bgr.shape[0], SIDE / bgr.shape[1])
        small = cv2.resize(bgr, (int(bgr.shape[1] * ratio), int(bgr.shape[0] * ratio)))
        padded = np.full((SIDE, SIDE, 3), 114, np.uint8)
        padded[: small.shape[0], : small.shape[1]] = small
        out = session.run(None, {session.get_inputs()[0].name: padded.transpose(2, 0, 1)[None].astype(np.float32)})[0][
            0
        ]
        centre, size = (out[:, :2] + grid) * stride / ratio, np.exp(out[:, 2:4]) * stride / ratio
        corner = (centre - size / 2).clip(0)
        far = np.minimum(centre + size / 2, [image["width"], image["height"]])
        label, score = out[:, 5:].argmax(1), out[:, 4] * out[:, 5:].max(1)
        rows = []
        for k in np.unique(label[score >= FLOOR]):
            mine = np.flatnonzero((label == k) & (score >= FLOOR))
            boxes = np.c_[centre[mine] - size[mine] / 2, size[mine]].tolist()
            kept = cv2.dnn.NMSBoxes(boxes, score[mine].tolist(), FLOOR, NMS)
            rows += [(float(score[mine[i]]), int(k), mine[i]) for i in np.array(kept).reshape(-1)]
        for value, k, i in sorted(rows, reverse=True)[:MOST]:
            box = [*corner[i].tolist(), *(far[i] - corner[i]).tolist()]
            results.append({"image_id": image["id"], "category_id": category[k], "bbox": box, "score": value})
    return results


def ap50(results: list[dict[str, Any]]) -> float:
    """COCO's AP at IoU 0.50, straight from pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        truth = COCO(str(PHOTOS / "instances.json"))
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[1])


if __name__ == "__main__":
    sys.exit(main())
