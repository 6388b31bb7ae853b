"""The models that masklet knows by name: where they are, their licence, and what they are good for.

A commit or a hash stands here only where several independent sources state the same; every other model is its main
branch, and the commit that was had is in the run's config.yaml.
"""

from collections.abc import Iterator
from dataclasses import dataclass

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Known:
    """A model.

    `home` is its repository on the Hub, or the address of a page where it is not there. `file` has the weights, and
    `sha256` is its hash.
    """

    name: str
    home: str
    used_by: str
    licence: str
    parameters: str
    good_at: str
    commit: str | None = None
    file: str = WEIGHTS
    sha256: str | None = None

    @property
    def on_hub(self) -> bool:
        """Whether `fetch` can get it."""
        return "://" not in self.home

    @property
    def how_to_get(self) -> str:
        """Where to get what is not on the Hub."""
        return f"get it from {self.home} and put it into checkpoints/"


APACHE, MIT, AGPL = "Apache-2.0", "MIT", "AGPL-3.0"
SAM2_USES = "segment: sam2; track: sam2; detect: everything"

SAM2_SIZES = {
    "tiny": ("39 M", "the quickest masks: a CPU can run it"),
    "small": ("46 M", "nearly as quick"),
    "base-plus": ("81 M", "between"),
    "large": ("224 M", "the best masks: a GPU's work"),
}
"""Size -> parameters of the released files, and what it is good at."""

SAM2_COMMITS = {
    "sam2.1-hiera-tiny": "de431c4043854a71d8101e17995dfe596bf101a5",
    "sam2.1-hiera-small": "ee5bba1d82bb8749febdf90f45e84b687142ba03",
    "sam2.1-hiera-base-plus": "b7320756a13354e7530a63935656d35b2f91a290",
    "sam2.1-hiera-large": "665f8e2ad61cf5f53d65644ff27c8ee525124610",
}
SAM2_SAFETENSORS = {
    "sam2.1-hiera-tiny": "48c14467e5cf9e51870511feb72c89688e82dd74523142c0538b663e193ac2a7",
    "sam2.1-hiera-small": "0a4067b11ce1e23d5229203f11c718a823060d15a4b23fa2372a7d4b77cbbc60",
    "sam2.1-hiera-base-plus": "2012733a0de5d03efd1bba550a2847c4551be9ef2e0d497c83074df66189f780",
    "sam2.1-hiera-large": "dc407dce21301fd94abb395c5099b4f2c455fdc8a8f261ac3d0ea6d4cd197230",
}
SAM2_PT = {
    "sam2.1-hiera-tiny": "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    "sam2.1-hiera-small": "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    "sam2.1-hiera-base-plus": "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    "sam2.1-hiera-large": "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
    "sam2-hiera-tiny": "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125",
    "sam2-hiera-small": "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3",
    "sam2-hiera-base-plus": "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071",
    "sam2-hiera-large": "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b",
}


def _sam2() -> Iterator[Known]:
    """Each size of both releases, as on the Hub and as Meta's own file, which the Hub has too."""
    for release in ("sam2.1", "sam2"):
        for size, (parameters, good_at) in SAM2_SIZES.items():
            model = f"{release}-hiera-{size}"
            home, commit, file = f"facebook/{model}", SAM2_COMMITS.get(model), f"{model.replace('-', '_')}.pt"
            about = (home, SAM2_USES, APACHE, parameters, good_at, commit)
            yield Known(home, *about, WEIGHTS, SAM2_SAFETENSORS.get(model))
            yield Known(file, *about, file, SAM2_PT[model])


def _hub(
    name: str, used_by: str, licence: str, parameters: str, good_at: str, commit: str = "", sha256: str = ""
) -> Known:
    """A model of the Hub, under the name that it has there."""
    return Known(name, name, used_by, licence, parameters, good_at, commit or None, WEIGHTS, sha256 or None)


_ROWS = (
    *_sam2(),
    _hub(
        "florence-community/Florence-2-base",
        "detect: florence2",
        MIT,
        "0.23 B",
        "words for almost anything; answers every question with a box",
        "00921df66db728a9ceb750f5eca43e5c203a2051",
        sha256="62f3e696da74f8869a68ddb529a9b3e14eb25b21c592cb3dea6179bf944df6a0",
    ),
    _hub(
        "florence-community/Florence-2-large",
        "detect: florence2",
        MIT,
        "0.78 B",
        "the same, surer and slower",
        "4271c66b88cdbc05735372ec13b2360108de5317",
    ),
    _hub(
        "IDEA-Research/grounding-dino-tiny",
        "detect: grounding",
        APACHE,
        "0.17 B",
        "phrases, with scores that can be cut at",
        "a2bb814dd30d776dcf7e30523b00659f4f141c71",
        sha256="1a2412ef99bd74bcd3c2a246fa1e48581f8889a1300c9051974741314fc042f3",
    ),
    _hub(
        "openmmlab-community/mm_grounding_dino_tiny_o365v1_goldg_v3det",
        "detect: grounding",
        APACHE,
        "0.17 B",
        "the same on more data; more classes",
    ),
    _hub(
        "google/owlv2-base-patch16-ensemble",
        "detect: grounding",
        APACHE,
        "0.15 B",
        "many classes at once, each on its own",
        "cfd3195ba4ea9592eec887ded089f4c08eff231d",
        sha256="e1e130b9e404cf91a75ad45644c1da9d7fa5284085eecc864266a6923efb99e7",
    ),
    _hub(
        "google/siglip2-base-patch16-224",
        "verify: clip",
        APACHE,
        "0.38 B",
        "whether a crop is what it is said to be",
        "75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
    ),
    Known(
        "yolox_nano.onnx",
        "https://github.com/Megvii-BaseDetection/YOLOX/releases",
        "detect: yolox",
        APACHE,
        "0.9 M",
        "COCO's 80 classes on any CPU",
        file="yolox_nano.onnx",
    ),
    Known(
        "yolo11n.pt",
        "https://github.com/ultralytics/assets/releases",
        "detect: yolo",
        AGPL,
        "2.6 M",
        "speed; COCO's 80 classes",
        file="yolo11n.pt",
    ),
)

KNOWN = {row.name: row for row in _ROWS}
"""Name -> what is known of it, in the order in which it is shown."""
