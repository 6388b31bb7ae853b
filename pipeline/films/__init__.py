"""Films: what decoding them once shows, and their frames, upright, in order. Knows files, not tracks.

What a container claims (frames, rate, length) is believed only where decoding bears it out.
"""

from pipeline.films.decoding import Reader, decode, frames_of
from pipeline.films.probing import Film, folder, probe

__all__ = ["Film", "Reader", "decode", "folder", "frames_of", "probe"]
