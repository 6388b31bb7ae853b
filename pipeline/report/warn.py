"""What is allowed in a configuration and probably not meant."""

from pathlib import Path

from pipeline.config import Config, load
from pipeline.errors import MaskletError, nearest


def warnings(config: Config, out: Path | None = None) -> list[str]:
    """One line each; with `out`, also how class numbers shift against the run that is there."""
    said = config.ontology.warnings() + _unknown_prompts(config)
    if out is not None and (out / "config.yaml").is_file():
        said += _shifted(config, out)
    return said


def _unknown_prompts(config: Config) -> list[str]:
    """Prompts that a closed-set detector does not know: nothing will be found for them."""
    vocabulary = config.detect.vocabulary()
    if vocabulary is None:
        return []
    name = config.backends["detect"]
    return [
        f"detect: {name} does not know {prompt!r}, and finds nothing for it{nearest(prompt, vocabulary)}"
        for prompt in config.ontology.prompts()
        if prompt not in vocabulary
    ]


def _shifted(config: Config, out: Path) -> list[str]:
    """Numbers that stand for another class than in the run before."""
    try:
        before = load(out / "config.yaml").ontology.numbers()
    except MaskletError:
        return []
    now = {number: name for name, number in config.ontology.numbers().items()}
    moved = [f"{k} was {name!r}, is {now[k]!r}" for name, k in before.items() if now.get(k, name) != name]
    if not moved:
        return []
    advice = "a model trained on the old ones will name things wrongly; give the classes an `id`, or add new ones last"
    return [f"ontology: class numbers shift against {out}: {', '.join(moved)}; {advice}"]
