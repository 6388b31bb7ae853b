"""The stand-ins load as plain transformers loads the released models, and answer so that a fault would show."""

import numpy as np
import pytest
import random_models
import random_models_florence2
import random_models_grounding
import random_models_owlv2
import random_models_sam2

MODELS = [
    ("florence2", "Florence2ForConditionalGeneration"),
    ("grounding_dino", "GroundingDinoForObjectDetection"),
    ("mm_grounding_dino", "MMGroundingDinoForObjectDetection"),
    ("owlv2", "Owlv2ForObjectDetection"),
    ("sam2", "Sam2Model"),  # the still part of the video checkpoint
    ("sam2", "Sam2VideoModel"),
]
CONFIGS = {
    "florence2": random_models_florence2.florence2_config,
    "grounding_dino": lambda size: random_models_grounding.grounding_config("grounding_dino", size),
    "mm_grounding_dino": lambda size: random_models_grounding.grounding_config("mm_grounding_dino", size),
    "owlv2": random_models_owlv2.owlv2_config,
    "sam2": random_models_sam2.sam2_config,
}
MILLIONS = [  # as the model cards and papers give them
    ("florence2", "base", 231),
    ("florence2", "large", 776),
    ("grounding_dino", "tiny", 172),
    ("mm_grounding_dino", "tiny", 172),
    ("owlv2", "base", 155),
    ("sam2", "tiny", 38.9),
    ("sam2", "hiera_small", 46.0),
    ("sam2", "base_plus", 80.8),
    ("sam2", "large", 224.4),
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Models this small lose more than they gain by a second one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loaded(folder, name):
    import transformers

    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    return model.eval(), info


def picture(seed):
    """A picture of large squares of colour, (120, 160, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)


def pixels(folder, seed):
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return processor(picture(seed), return_tensors="pt", input_data_format="channels_last")


@pytest.mark.parametrize(("kind", "name"), MODELS)
def test_every_key_of_the_checkpoint_is_used_and_none_is_missing(kind, name):
    _, info = loaded(random_models.cached(kind), name)
    assert not any(info.values())


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("florence2", "generation_config preprocessor_config processor_config tokenizer tokenizer_config"),
        ("grounding_dino", "preprocessor_config tokenizer tokenizer_config"),
        ("mm_grounding_dino", "preprocessor_config tokenizer tokenizer_config"),
        ("owlv2", "preprocessor_config tokenizer tokenizer_config"),
        ("sam2", "preprocessor_config processor_config video_preprocessor_config"),
    ],
)
def test_the_files_are_those_of_the_released_repositories(kind, files):
    wanted = {"model.safetensors", *(f"{name}.json" for name in ("config", *files.split()))}
    assert {path.name for path in random_models.cached(kind).iterdir()} == wanted


@pytest.mark.parametrize(
    ("kind", "numbers", "size"),
    [
        ("florence2", {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 50264}, 51290),  # BART's
        ("florence2", {"<od>": 50265, "<loc_0>": 50269, "<loc_999>": 51268, "<and>": 51288, "<image>": 51289}, 51290),
        ("grounding_dino", {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}, 30522),
        ("mm_grounding_dino", {"[MASK]": 103, "!": 999, "a": 1037, "~": 1066}, 30522),  # the end of ASCII
        ("owlv2", {"!": 0, "<|startoftext|>": 49406, "<|endoftext|>": 49407}, 49408),
    ],
)
def test_special_tokens_have_their_real_numbers(kind, numbers, size):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(random_models.cached(kind))
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in numbers} == numbers
    assert len(tokenizer) == size


@pytest.mark.parametrize(
    ("kind", "text", "tokens"),
    [
        ("florence2", "a red dog", ["<s>", "a", "Ġred", "Ġdog", "</s>"]),
        ("florence2", "dog<loc_7>", ["<s>", "dog", "<loc_7>", "</s>"]),
        ("florence2", "犬", ["<s>", "ç", "Ĭ", "¬", "</s>"]),  # bytes, for any script
        ("grounding_dino", "Red dog. zq?", ["[CLS]", "red", "dog", ".", "z", "##q", "?", "[SEP]"]),
        ("grounding_dino", "犬 😀", ["[CLS]", "犬", "[UNK]", "[SEP]"]),
        ("owlv2", "Traffic light", ["<|startoftext|>", "traffic</w>", "light</w>", "<|endoftext|>"]),
        ("owlv2", "é", ["<|startoftext|>", "Ã", "©</w>", "<|endoftext|>"]),
    ],
)
def test_words_are_cut_as_the_real_tokenizers_cut_them(kind, text, tokens):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(random_models.cached(kind))
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == tokens


@pytest.mark.parametrize(
    ("kind", "name", "prompts", "others"),
    [
        ("grounding_dino", "GroundingDinoForObjectDetection", ["dog. cat."], ["red. circle."]),
        ("mm_grounding_dino", "MMGroundingDinoForObjectDetection", ["dog. cat."], ["red. circle."]),
        ("owlv2", "Owlv2ForObjectDetection", ["dog", "cat"], ["red", "circle"]),
    ],
)
def test_a_detector_answers_by_picture_and_prompt_with_rows_of_many_scores(kind, name, prompts, others):
    import torch
    from transformers import AutoTokenizer

    folder = random_models.cached(kind)
    model, _ = loaded(folder, name)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def answer(seed, prompts):
        words = tokenizer(prompts, return_tensors="pt", padding="max_length" if kind == "owlv2" else False)
        with torch.inference_mode():
            answered = model(**words, **pixels(folder, seed))
        return answered.logits[0].sigmoid().amax(-1), answered.pred_boxes[0]

    scores, boxes = answer(1, prompts)
    assert (scores > 0.05).sum() >= 8
    assert 0.3 < scores.max() < 0.99
    assert scores.min() < 0.05
    assert boxes.isfinite().all()
    assert (boxes.std(0) > 0.02).all()  # centres and sides differ
    assert (answer(2, prompts)[0] - scores).abs().max() > 0.01
    assert (answer(1, others)[0] - scores).abs().max() > 0.01


def test_sam2_gives_logits_of_a_range_by_picture_and_box():
    import torch

    model, _ = loaded(random_models.cached("sam2"), "Sam2Model")

    def masks(seed, box):
        noise = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            return model(pixel_values=noise, input_boxes=torch.tensor([[box]]), multimask_output=False).pred_masks

    first = masks(1, [30.0, 30.0, 120.0, 120.0])
    assert 0.2 < first.max() - first.min() < 50
    assert 0.05 < (first > 0).float().mean() < 0.95
    assert (masks(2, [30.0, 30.0, 120.0, 120.0]) - first).abs().max() > 0.2
    assert (masks(1, [60.0, 60.0, 200.0, 200.0]) - first).abs().max() > 0.2


def test_sam2_follows_an_object_through_a_film():
    import torch
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    model, _ = loaded(random_models.cached("sam2"), "Sam2VideoModel")
    film = torch.randn(3, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    session = Sam2VideoInferenceSession(video=film, video_height=256, video_width=256, dtype=torch.float32)
    session.obj_id_to_idx(1)
    session.add_point_inputs(
        0, 0, {"point_coords": torch.tensor([[[[90.0, 90.0]]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.int32)}
    )
    session.obj_with_new_inputs = [1]
    with torch.inference_mode():
        masks = [step.pred_masks for step in model.propagate_in_video_iterator(session, start_frame_idx=0)]
    assert len(masks) == 3
    assert all(mask.isfinite().all() and mask.std() > 0.01 for mask in masks)


def said(folder, seed, prompt):
    """What the model says, greedily, and the likelihood of each token after `</s><s>`."""
    import torch
    from transformers import AutoProcessor

    model, _ = loaded(folder, "Florence2ForConditionalGeneration")
    processor = AutoProcessor.from_pretrained(folder, backend="pil")
    asked = processor(images=picture(seed), text=prompt, return_tensors="pt")
    plain = {"num_beams": 1, "early_stopping": False, "no_repeat_ngram_size": None, "max_new_tokens": 40}
    answer = model.generate(**asked, **plain, output_logits=True, return_dict_in_generate=True)
    tokens = answer.sequences[0, 1:]
    likelihoods = torch.stack(answer.logits, 1)[0].double().softmax(-1).gather(1, tokens[:, None])[1:, 0]
    return processor.decode(tokens), likelihoods.numpy()


@pytest.mark.parametrize(
    ("answer", "likelihoods"),
    [
        ("dog<loc_1><loc_2><loc_3><loc_4>", [0.9, 0.8, 0.7, 0.6, 0.5, 0.99]),
        ("a red cat<loc_9><loc_9><loc_99><loc_999>", [0.5, 0.2, 0.75, 0.3, 0.4, 0.5, 0.6, 0.7]),  # below a half as well
        ("", [0.9]),  # nothing found
    ],
)
def test_florence2_says_what_it_is_made_to_say_as_likely_as_it_is_made_to(tmp_path, answer, likelihoods):
    tokens = random_models.florence_that_answers(tmp_path, answer, likelihoods=likelihoods)
    assert len(tokens) == len(likelihoods)
    text, measured = said(tmp_path, 1, "<OD>")
    assert text == f"<s>{answer}</s>"
    assert measured == pytest.approx(likelihoods, abs=2e-4)


def test_florence2_answers_with_two_boxes_as_likely_as_picture_and_prompt_say():
    folder = random_models.cached("florence2")
    text, likelihoods = said(folder, 1, "<OPEN_VOCABULARY_DETECTION>dog")
    assert text == f"<s>{random_models_florence2.ANSWER}</s>"
    for seed, prompt in ((2, "<OPEN_VOCABULARY_DETECTION>dog"), (1, "<OPEN_VOCABULARY_DETECTION>cat")):
        text, others = said(folder, seed, prompt)
        assert text == f"<s>{random_models_florence2.ANSWER}</s>"
        assert np.abs(others - likelihoods).max() > 1e-3


@pytest.mark.parametrize("kind", random_models.SIZES)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(kind, tmp_path):
    first = random_models.cached(kind)  # as a rule another process made it
    again, other = (random_models.build(kind, tmp_path / str(seed), seed=seed) for seed in (0, 1))
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes()
    assert (first / "model.safetensors").read_bytes() != (other / "model.safetensors").read_bytes()


def test_building_leaves_the_caller_s_random_numbers_alone(tmp_path):
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    random_models.build("owlv2", tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_is_built_once(monkeypatch, tmp_path):
    built = []

    def build(kind, folder, size):
        built.append(kind)
        folder.mkdir()
        (folder / "config.json").write_text(size)
        return folder

    monkeypatch.setattr(random_models, "build", build)
    monkeypatch.setattr(random_models, "_shelf", lambda: tmp_path / "shelf")
    places = [random_models.cached("sam2", "tiny") for _ in range(2)]
    assert built == ["sam2"]
    assert places == [tmp_path / "shelf" / "sam2-tiny"] * 2
    assert [path.name for path in (tmp_path / "shelf").iterdir()] == ["sam2-tiny"]


def test_of_two_that_build_at_once_the_first_stays(monkeypatch, tmp_path):
    shelf = tmp_path / "shelf"

    def build_while_another_finishes(kind, folder, size):
        for place, word in ((folder, "mine"), (shelf / "sam2-tiny", "theirs")):
            place.mkdir()
            (place / "config.json").write_text(word)
        return folder

    monkeypatch.setattr(random_models, "build", build_while_another_finishes)
    monkeypatch.setattr(random_models, "_shelf", lambda: shelf)
    assert (random_models.cached("sam2", "tiny") / "config.json").read_text() == "theirs"
    assert [path.name for path in shelf.iterdir()] == ["sam2-tiny"]


def test_a_size_that_a_kind_has_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="owlv2 has no size 'tiny'; it has small, base"):
        random_models.build("owlv2", tmp_path, "tiny")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size", "millions"), MILLIONS)
def test_full_sizes_have_the_released_models_number_of_weights(kind, size, millions):
    import torch
    import transformers

    name = next(name for of, name in reversed(MODELS) if of == kind)
    with torch.device("meta"):
        model = getattr(transformers, name)(CONFIGS[kind](size))
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.slow
def test_a_full_size_checkpoint_is_built_and_loads(tmp_path):
    folder = random_models.build("sam2", tmp_path, "tiny")
    assert (folder / "model.safetensors").stat().st_size == pytest.approx(38.9e6 * 4, rel=0.01)
    assert not any(loaded(folder, "Sam2Model")[1].values())
