"""What is allowed in a configuration and probably not meant."""

from pathlib import Path

from pipeline import select
from pipeline.config import Config, load
from pipeline.errors import MaskletError, nearest
from pipeline.stages.verify import words_of


def warnings(config: Config, out: Path | None = None) -> list[str]:
    """One line each; with `out`, also what becomes otherwise than in the run that is there."""
    said = config.ontology.warnings() + _unknown_prompts(config) + _scores(config) + _second_opinions(config)
    if out is None or not (out / "config.yaml").is_file():
        return said
    try:
        before = load(out / "config.yaml")
    except MaskletError:
        return said
    return said + _shifted(config, before, out) + _another_source(config, before, out) + _undone(config, before, out)


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


def _scores(config: Config) -> list[str]:
    """Thresholds that cannot cut, or were learnt from other scores."""
    rules, name = config.select, config.backends["detect"]
    lines = []
    usual = select.Rules.model_fields["threshold"].default
    chosen = rules.threshold != usual or any(c.threshold is not None for c in config.ontology.active)
    if chosen and config.detect.constant_scores:
        lines.append(f"detect: {name} gives every object the same score: no threshold can tell right from wrong")
    if rules.calibration is not None and rules.calibration.detector not in ({}, config.section("detect")):
        lines.append("select: the calibration was learnt from another detector, or with other options; calibrate anew")
    return lines


def _second_opinions(config: Config) -> list[str]:
    """A second model that is asked for nothing, or cannot disagree."""
    if config.verify is None:
        return []
    lines = []
    if not config.select.verified:
        lines.append("verify: a second model is asked, but nothing goes for what it says; say select.verified=0.5")
    alone = [c.name for c in config.ontology.active if not words_of(c, config.ontology).others]
    if alone and not config.verify.against:
        lines.append(f"verify: there is nothing that {alone[0]!r} could be told from; give it negatives")
    return lines


def _another_source(config: Config, before: Config, out: Path) -> list[str]:
    """Another source: its dataset takes the place of the one that is there."""
    was, now = before.source.path, config.source.path
    if Path(was).absolute() == Path(now).absolute():
        return []
    return [f"source: {out} is a run of {was}, and becomes one of {now}; with another --out there are both"]


def _undone(config: Config, before: Config, out: Path) -> list[str]:
    """Corrections that the run before heeded and this one does not name."""
    if before.corrections is None or config.corrections is not None:
        return []
    given = ", ".join(before.corrections.paths)
    again = f"corrections={given}" if len(before.corrections.paths) == 1 else f"corrections='[{given}]'"
    return [f"corrections: what people decided about {out} is no part of this run; say {again} to keep it"]


def _shifted(config: Config, before: Config, out: Path) -> list[str]:
    """Numbers that stand for another class than in the run before."""
    now = {number: name for name, number in config.ontology.numbers().items()}
    moved = [
        f"{k} was {name!r}, is {now[k]!r}" for name, k in before.ontology.numbers().items() if now.get(k, name) != name
    ]
    if not moved:
        return []
    advice = "a model trained on the old ones will name things wrongly; give the classes an `id`, or add new ones last"
    return [f"ontology: class numbers shift against {out}: {', '.join(moved)}; {advice}"]
