"""The README.md of a checkpoint: what it is, what it learnt from, how it was made, how good it is."""

import json
from pathlib import Path
from typing import Any

HEAD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: {task}
---

# {name}

{what}

## Data

{data}

## Training

```
{command}
```

{steps} steps. The curve, every {apart} steps:

| {keys} |
|{bars}|
{rows}

## Quality

On pictures and films of `pipeline/toyworld` with a seed that was not learnt from, kinds held out included where not
said otherwise:

{quality}

## Limits

It knows the toy world and nothing else. It is there so that the whole way can be run and tested anywhere in seconds.
"""


def write(folder: Path, about: dict[str, str], curve: Path, quality: dict[str, Any]) -> None:
    """Write the card; `about` has name, task, what, data and command."""
    lines = [json.loads(line) for line in curve.read_text(encoding="utf-8").splitlines()]
    keys, rows = curve_of([line for line in lines if "loss" not in line])
    text = HEAD.format(
        **about,
        steps=lines[-1]["step"],
        apart=rows[0][0] if rows else 0,
        keys=" | ".join(keys),
        bars="|".join("---" for _ in keys),
        rows="\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows),
        quality="\n".join(listed(quality)),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def curve_of(measured: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Turn the lines of what was measured into a table; a step that was gone through twice counts once."""
    by_step = {line["step"]: line for line in measured}
    keys = list(dict.fromkeys(key for line in by_step.values() for key in line))
    return keys, [[line.get(key, "") for key in keys] for _, line in sorted(by_step.items())]


def listed(quality: dict[str, Any]) -> list[str]:
    """Tell figures in lines, the parts of a figure behind it."""
    lines = []
    for key, value in quality.items():
        if isinstance(value, dict):
            shown = ", ".join(f"{part} {shown_figure(figure)}" for part, figure in value.items())
            lines.append(f"- **{key}**: {shown}")
        else:
            lines.append(f"- **{key}**: {shown_figure(value)}")
    return lines


def shown_figure(value: Any) -> str:
    """Round for reading."""
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)
