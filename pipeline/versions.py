"""What masklet was put together with, where it runs: the versions that the bytes of a dataset may depend on."""

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "pillow",
    "pycocotools",
    "ImageHash",
    "onnxruntime",
    "torch",
    "transformers",
)


def libraries() -> dict[str, str]:
    """The libraries that are there, each with its version."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
