import pytest
import torch

from training import owlv2_helpers as helpers
from training.owlv2 import loss_of
from training.owlv2_batch import GRID, IMAGE_PX, batch
from training.owlv2_model import SIDES, fresh, processor

WORDS = processor()


@pytest.fixture(scope="module")
def model():
    made = fresh(len(WORDS.tokenizer))
    made.set_attn_implementation("eager")
    return made.eval()


def block(top, left, height, width):
    """Patches of one object, number 0, on an empty picture: (1, P)."""
    owner = torch.full((GRID, GRID), -1)
    owner[top : top + height, left : left + width] = 0
    return owner.reshape(1, -1)


@pytest.mark.parametrize("head", range(len(SIDES)))
def test_an_untrained_head_looks_at_its_neighbour(model, head):
    with torch.no_grad(), helpers.watched(model) as seen:
        model.image_embedder(torch.zeros(1, 3, IMAGE_PX, IMAGE_PX))
    down, right = SIDES[head]
    for layer, (_, looking) in seen.items():
        at = looking[0, head, 1:, 1:].reshape(GRID, GRID, GRID, GRID)
        share = at[5, 5, 5 + down, 5 + right]
        assert share > 0.5, layer
        assert share == at[5, 5].max(), layer


def test_the_ends_of_an_object():
    same = (block(2, 3, 2, 3).T == 0) & (block(2, 3, 2, 3) == 0)
    ends = helpers.at_ends(same[None])[0, :, 2 * GRID + 3].reshape(4, GRID, GRID)
    expected = [
        [(2, 3), (2, 4), (2, 5)],  # the upper row
        [(3, 3), (3, 4), (3, 5)],  # the lower
        [(2, 3), (3, 3)],  # the left column
        [(2, 5), (3, 5)],  # the right
    ]
    assert [[tuple(place) for place in end.nonzero().tolist()] for end in ends] == expected


def looks_that(mine):
    """Let the gathering heads of all layers look as told, (4, P, P)."""
    looking = torch.zeros(1, 2 * len(SIDES), 1 + GRID * GRID, 1 + GRID * GRID)
    looking[0, len(SIDES) :, 1:, 1:] = mine
    return dict.fromkeys(range(6), looking)


def test_who_looks_where_it_should_is_not_blamed_and_who_does_not_is():
    owner = block(2, 3, 2, 3)
    same = (owner[:, :, None] == owner[:, None]) & (owner >= 0)[:, :, None]
    ends = helpers.at_ends(same)[0]
    right = helpers.gathered(looks_that(ends / ends.sum(-1, keepdim=True).clamp(min=1)), owner)
    assert right["edge"].item() == pytest.approx(0, abs=1e-4)
    even = helpers.gathered(looks_that((same[0] / same[0].sum(-1, keepdim=True).clamp(min=1)).expand(4, -1, -1)), owner)
    assert even["pool"].item() == pytest.approx(0, abs=1e-4)
    at_itself = helpers.gathered(looks_that(torch.eye(GRID * GRID).expand(4, -1, -1)), owner)
    assert at_itself["edge"].item() > 1  # half of it is at no end of its own
    assert at_itself["pool"].item() > 1


def test_a_picture_of_nothing_blames_nobody():
    blamed = helpers.gathered(looks_that(torch.eye(GRID * GRID).expand(4, -1, -1)), torch.full((1, GRID * GRID), -1))
    assert {key: value.item() for key, value in blamed.items()} == {"edge": 0, "pool": 0}


def test_all_that_is_asked_besides_reaches_the_encoder_and_names_softly(model):
    asked = batch(0, 1)
    asked_for = helpers.Helpers(128)
    parts = loss_of(model, asked_for, WORDS, asked)
    first = model.owlv2.vision_model.embeddings.patch_embedding.weight
    for key in ("names", "looks", "figure", "edge", "pool"):
        (slope,) = torch.autograd.grad(parts[key], first, retain_graph=True)
        assert slope.norm() > 0, key
