"""Names to weights: where a model's files are, the hash that names them, and their licence.

A name is a folder; a .pt file of Meta's SAM 2; one of either in a folder `checkpoints/`; or a Hub id, with a revision
behind an @ if wanted: `facebook/sam2.1-hiera-small@main`. Looking never downloads; `fetch` does.
"""

from pipeline.checkpoints.cards import licence, licence_of
from pipeline.checkpoints.hashes import sha256_of_file, sha256_of_folder
from pipeline.checkpoints.names import commit, fetch, folder, settings, weights_file
from pipeline.checkpoints.verify import whole

__all__ = [
    "commit",
    "fetch",
    "folder",
    "licence",
    "licence_of",
    "settings",
    "sha256_of_file",
    "sha256_of_folder",
    "weights_file",
    "whole",
]
