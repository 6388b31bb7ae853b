"""Every reason for which a picture or an object does not reach the dataset, in words.

Knows the words only. A stage that drops something names a row of these tables; a test proves that no other is used.
"""

PICTURES = {
    "empty_file": "the file has no bytes",
    "not_a_picture": "not a picture in a format that masklet reads (JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF, PPM, MPO),"
    " nor a film (MP4, MOV, Matroska, WebM, AVI, MPEG, FLV)",
    "film": "a film, and the config does not say how to follow what is in it; add a section `track`, or say"
    " track='{backend: iou}'",
    "cut_or_damaged": "the file is cut short or damaged; save it again from its source",
    "too_large": "a picture or frame has more pixels than `source.max_pixels` allows",
    "unsupported_pixels": "pixels of a kind that has no plain 8-bit form",
    "unreadable": "the file cannot be opened; look at its permissions",
    "not_a_file": "not a regular file (a pipe, a socket, a device or a dangling link)",
    "bad_name": "the file's name cannot stand in a dataset on every system; rename it",
    "changed": "the file changed or vanished while the run was going on; run again",
    "duplicate": "the same bytes as another file, which is kept",
    "near_duplicate": "it looks like another picture, which is kept (`choose.near`)",
    "other_part": "it belongs to another part of the run (`--partition`)",
    "backend_failed": "a model or library failed on it; it is tried again in the next run",
    "worker_died": "the process that worked on it died; it is tried again in the next run",
    "out_of_memory": "not enough memory even for it alone; it is tried again in the next run",
}

OBJECTS = {
    "outside": "what the detector answered has no area inside the picture, or is no whole box",
    "below_threshold": "the score is below the class's threshold",
    "negative": "a negative prompt fits the same place better",
    "only_negative": "found by a prompt that only serves as a negative",
    "not_verified": "the second model is less sure of it than `select.verified`",
    "too_small": "the box has fewer pixels than the class's `min_area_px`",
    "covers_too_much": "the box covers more of the picture than the class's `max_area_fraction`",
    "empty_mask": "the segmenter gave an empty mask",
    "same_class_twin": "another object of its class, found by the same prompt, has nearly the same mask",
    "same_class_other_prompt": "another prompt of its class found the same object",
    "other_class_twin": "an object of another class has nearly the same mask and a higher score",
    "part_of_another": "its mask lies inside a larger object of its class",
    "around_others": "surer objects of its class fill its mask: it is a group or a loose outline",
    "rejected": "a person rejected it (`corrections`)",
    "rejected_too": "it has the class and the place of an object that a person rejected",
    "decided_already": "it has the class and the place of an object that a person decided about",
    "persons_twin": "an object that a person decided about has nearly the same mask",
    "no_track": "no object of the film goes on with it, and its score is too low to begin one",
    "in_a_track": "it lies inside an object that is followed already",
    "unconfirmed": "found too seldom, and with too low a score, to be an object",
}

NOTES = {
    "smaller_batch": "memory ran out; the call was made again with half the pictures",
    "not_applied": "a correction could not be applied",
    "frames_missing": "a film is labelled as far as it can be decoded",
}


def in_words(reason: str, detail: str = "") -> str:
    """The sentence of a reason, and what is known of the case.

    >>> in_words("empty_file")
    'the file has no bytes'
    """
    return {**PICTURES, **OBJECTS, **NOTES}[reason] + (f" ({detail})" if detail else "")
