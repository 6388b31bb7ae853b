import numpy as np
import pytest
import torch

from pipeline.toyworld.films import film
from pipeline.toyworld.scenes import scene
from training import sam2_batch, sam2_clips, sam2_films, sam2_loss, sam2_model
from training.sam2_memory import Memory, first, follow
from training.sam2_prompts import KINDS, ask

LONG_HW = (96, 128)


@pytest.fixture(scope="module")
def model():
    """An untrained model that sees objects everywhere, and whose memory says something."""
    untrained = sam2_model.fresh().eval()
    with torch.no_grad():
        untrained.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(3.0)
        for parameter in (untrained.memory_temporal_positional_encoding, untrained.no_memory_embedding):
            torch.nn.init.normal_(parameter, std=0.1)
        untrained.temporal_positional_encoding_projection_layer.weight.mul_(50)
    return untrained


def test_the_untrained_model_runs_three_frames(model):
    told = list(model.propagate_in_video_iterator(sam2_films.session_of(model, film(0, 0, frames=3)), 0))
    assert [one.frame_idx for one in told] == [0, 1, 2]
    assert all(torch.isfinite(one.pred_masks).all() for one in told)


def test_prompts_and_picture_share_one_code_of_places(model):
    assert torch.equal(
        model.prompt_encoder.shared_embedding.positional_embedding, model.shared_image_embedding.positional_embedding
    )


@torch.no_grad()
def test_a_step_through_a_film_is_that_of_transformers(model, monkeypatch):
    session = sam2_films.session_of(model, film(0, 0, "twins", 16, LONG_HW))
    with monkeypatch.context() as patch:
        patch.setattr(model.mask_decoder, "dynamic_multimask_via_stability", False)  # no choice in the first frame
        theirs = [one.pred_masks for one in model.propagate_in_video_iterator(session, 0, max_frame_num_to_track=3)]
    count = len(session.obj_ids)
    boxes = torch.cat([session.point_inputs_per_obj[row][0]["point_coords"].view(1, 4) for row in range(count)])
    seen, memory = sam2_model.see(model, torch.stack([session.get_frame(number) for number in range(4)])), Memory()
    for now, their in enumerate(theirs):
        frame = seen.of(torch.full((count,), now))
        answer = follow(model, memory, frame, now) if now else first(model, memory, frame, boxes)
        chosen = 1 + answer.ious[:, 1:].argmax(1) if now else torch.zeros(count, dtype=torch.long)
        assert (answer.there > 0).all()
        assert torch.allclose(answer.masks[torch.arange(count), chosen], their[:, 0], atol=1e-4)


def test_a_memory_matters(model):
    """Or the test above would pass without one."""
    with torch.no_grad():
        one = film(0, 0, "twins", 16, LONG_HW)
        answers = []
        for boxes in ([20.0, 20, 90, 90], [100.0, 100, 180, 180]):
            frame, memory = sam2_model.see(model, sam2_batch.pixels([scene(0, 0)])), Memory()
            first(model, memory, frame, torch.tensor([boxes]))
            answers.append(follow(model, memory, frame, 1).masks)
    assert len(one.found) == 16
    assert (answers[0] - answers[1]).abs().max() > 1e-3


def test_a_batch_has_what_is_there_and_says_so_of_what_is_not():
    asked = sam2_batch.batch(2, 6)
    areas = (asked.masks > 0.5).sum((-2, -1))
    assert ((areas > 0) == (asked.there > 0)).all()
    assert 0 < asked.there.mean() < 1
    inside = sam2_loss.in_boxes(asked.boxes, 192)[:, 0]
    assert ((asked.masks > 0.5) & (inside == 0)).sum() == 0
    assert asked.rows.tolist() == [row for row in range(6) for _ in range(sam2_batch.ASKED)]


@pytest.mark.parametrize("number", range(12))
def test_prompts(number):
    asked = sam2_batch.batch(1, 2)
    prompts = ask(asked, number)
    assert set(prompts) in ({"boxes"}, {"points", "labels"}, {"points", "labels", "boxes"}, {"logits"})
    if "points" in prompts:
        (x, y), there = prompts["points"][:, 0].long().T, asked.there > 0
        assert (asked.masks[torch.arange(len(x)), y, x][there] > 0.5).all()  # the first click is on the thing
        assert (prompts["labels"][:, 0] == 1).all()
    if "boxes" in prompts:
        sides = (asked.boxes[:, 2:] - asked.boxes[:, :2]).repeat(1, 2)
        assert ((prompts["boxes"] - asked.boxes).abs() <= 0.1 * sides + 1e-3).all()


def test_all_kinds_of_prompts_are_given():
    asked = sam2_batch.batch(1, 1)
    all_given = [ask(asked, number) for number in range(60)]
    kinds = {(*sorted(given), given["labels"].shape[1] if "labels" in given else 0) for given in all_given}
    assert len(kinds) == len(KINDS)


def test_clips_follow_who_is_there_at_first():
    drawn = [sam2_clips.clips(number, 1) for number in range(12)]
    there = torch.cat([one.there for one in drawn], dim=1)
    assert (there[0] == 1).all()
    assert (there[1:] == 0).any()  # somebody hides, leaves or is cut away
    for one in drawn:
        assert ((one.masks > 0.5).flatten(2).any(2) >= (one.there > 0)).all()
        assert (one.boxes[one.there == 0] == 0).all()


@pytest.mark.parametrize(
    ("logit", "true", "expected"),
    [
        (9.0, 1.0, 1.0),
        (-9.0, 1.0, 0.0),
        (9.0, 0.0, 0.0),
        (-9.0, 0.0, 0.0),  # nothing of nothing
    ],
)
def test_iou(logit, true, expected):
    assert sam2_loss.iou(torch.full((1, 1, 4, 4), logit), torch.full((1, 1, 4, 4), true)).item() == expected


def test_the_empty_mask_is_no_good_answer():
    """The pixels of a small thing count as much as all the others."""
    target = torch.zeros(1, 1, 96, 96)
    target[..., 40:44, 40:44] = 1
    boxes = torch.tensor([[80.0, 80, 88, 88]])
    empty, wide = (
        sam2_loss.balanced(logits, target, boxes) for logits in (torch.full((1, 1, 96, 96), -4.0), target * 8 - 2)
    )
    assert empty > 4 * wide
    assert sam2_loss.dice(target * 20 - 10, target).item() == pytest.approx(0, abs=0.06)
    assert sam2_loss.dice(torch.full_like(target, -20.0), target).item() == pytest.approx(1, abs=0.06)


def test_two_empty_masks_agree():
    nothing, something = np.zeros((2, 2), bool), np.eye(2, dtype=bool)
    assert [sam2_films.overlap(nothing, nothing), sam2_films.overlap(something, nothing)] == [1.0, 0.0]
