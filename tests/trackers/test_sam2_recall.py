"""Memory attention against transformers' own, called once for each object."""

import pytest
import torch
from random_models import cached
from transformers import Sam2VideoModel

from pipeline.trackers import sam2_recall
from pipeline.trackers.sam2_recall import Recall

MAPS, POINTERS, OBJECTS = 2, 8, 3


@pytest.fixture(scope="module")
def model():
    return Sam2VideoModel.from_pretrained(cached("sam2")).eval()


def drawn(model):
    """A frame's cells (1, S, C), memory and its places (B, T, 64)."""
    dice = torch.Generator().manual_seed(1)
    cells, channels = len(model.memory_attention.position_ids), model.config.memory_attention_hidden_size
    memory = OBJECTS, MAPS * cells + POINTERS, model.mem_dim
    return [torch.randn(shape, generator=dice) for shape in ((1, cells, channels), memory, memory)]


def theirs(model, frame, memory, codes):
    told = [
        model.memory_attention(
            current_vision_features=frame.transpose(0, 1),
            memory=memory[row : row + 1].transpose(0, 1),
            memory_posision_embeddings=codes[row : row + 1].transpose(0, 1),
            num_object_pointer_tokens=POINTERS,
        )
        for row in range(OBJECTS)
    ]
    return torch.stack([each.reshape(frame.shape[1:]) for each in told])


@pytest.mark.parametrize("fault", ["none", "turned the other way", "places swapped", "not begun"])
@pytest.mark.parametrize("rows", [100, 256])  # of 256 cells: the last ones are fewer; all at once
def test_as_one_after_another(model, rows, fault, monkeypatch):
    monkeypatch.setattr(sam2_recall, "ROWS", rows)
    recall, (frame, memory, codes) = Recall(model), drawn(model)
    with torch.inference_mode():
        expected, begun = theirs(model, frame, memory, codes), recall.begun(frame)
        match fault:
            case "turned the other way":
                recall.turns = recall.turns.conj()
            case "places swapped":
                codes = codes.roll(1, 1)
            case "not begun":
                begun = frame
        said = recall.told(begun, memory, codes, POINTERS)
    assert ((said - expected).abs().max() <= 1e-5 * (expected.max() - expected.min())) == (fault == "none")


def test_an_object_does_not_depend_on_the_others(model):
    recall, (frame, memory, codes) = Recall(model), drawn(model)
    with torch.inference_mode():
        begun = recall.begun(frame)
        alone = recall.told(begun, memory[:1], codes[:1], POINTERS)
        others = recall.told(begun, torch.cat([memory[:1], memory[2:]]), torch.cat([codes[:1], codes[2:]]), POINTERS)
        among = recall.told(begun, memory, codes, POINTERS)
    assert (alone - among[:1]).abs().max() <= 1e-5 * (among.max() - among.min())
    assert (others[1] - among[2]).abs().max() <= 1e-5 * (among.max() - among.min())


def test_only_one_head(model):
    model.memory_attention.config.memory_attention_num_attention_heads, kept = 2, 1
    with pytest.raises(ValueError, match="memory attention of several heads is none of SAM 2's"):
        Recall(model)
    model.memory_attention.config.memory_attention_num_attention_heads = kept
