"""Draw a COCO dataset's masks over its pictures.

python examples/overlays.py outputs/demo/dataset/coco overlays/
"""

import sys
from pathlib import Path

import cv2
import supervision as sv

dataset, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
pictures = sv.DetectionDataset.from_coco(str(dataset / "images"), str(dataset / "annotations.json"))
for path, picture, found in pictures:
    drawn = sv.MaskAnnotator(opacity=0.5).annotate(picture.copy(), found)
    drawn = sv.PolygonAnnotator(thickness=1).annotate(drawn, found)
    names = [pictures.classes[number] for number in found.class_id]
    drawn = sv.LabelAnnotator(text_scale=0.35, text_padding=2).annotate(drawn, found, names)
    cv2.imwrite(str(out / f"{Path(path).stem}.png"), drawn)
