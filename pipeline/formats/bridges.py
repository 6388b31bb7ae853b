"""A mask as one closed polygon through the centres of its outer pixels, for formats that have one polygon an object.

Holes and parts are joined by seams that go there and back. `cv2.fillPoly` draws outlines and seams one pixel wide and
fills by crossings, so a seam costs what background it runs over: nothing for a hole, whose seam stays on the object;
the way between two parts, which is why parts are joined where they are nearest.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.masks import Bits

Pixels = NDArray[np.int64]
"""Pixels x, y: (N, 2)."""
Seams = list[tuple[int, int]]
"""Pairs of nodes that are joined; a node is a pixel's number among the pixels of all outlines."""

HALF, QUARTER = 0.5, 0.25
"""A pixel's centre; how far from it the corners of something thin are."""


def polygon(mask: Bits) -> tuple[NDArray[np.float64], int, int]:
    """A mask with a pixel or more to the vertices x, y, and the holes and further parts joined: (H, W) -> (N, 2), K, L.

    >>> polygon(np.array([[1, 1], [1, 1]], bool))[0].tolist()
    [[0.5, 0.5], [0.5, 1.5], [1.5, 1.5], [1.5, 0.5]]
    """
    rings, parts, holes = _rings(mask)
    nodes, begins = np.concatenate(rings), np.cumsum([0, *map(len, rings)])
    seams = _to_holes(mask, nodes, begins, len(rings) - holes) if holes else []
    further = len(rings) - holes - 1
    if further:
        seams += _between_parts(nodes, np.repeat(parts, np.diff(begins)))
    return drawable(_corners(nodes[_walk(begins, seams)])), holes, further


def drawable(ring: Pixels) -> NDArray[np.float64]:
    """Pixels to positions of three vertices or more that enclose an area; a line goes along both its sides."""
    if len(ring) > 2 and np.ptp(ring, axis=0).all():
        return np.add(ring, HALF, dtype=np.float64)
    first, last = (ring[0], ring[-1]) if len(ring) < 3 else (ring.min(axis=0), ring.max(axis=0))
    off = np.array([[-QUARTER, -QUARTER], [QUARTER, -QUARTER], [QUARTER, QUARTER], [-QUARTER, QUARTER]])
    return np.add([first, first, last, last], off + HALF, dtype=np.float64)


def _rings(mask: Bits) -> tuple[list[Pixels], list[int], int]:
    """Outlines of parts, then of holes, those further left first; the part that each is of; how many are holes.

    Pixels that touch at a corner are one part. A hole's outline is on the object's pixels around it.
    """
    import cv2

    bits = np.ascontiguousarray(mask).view(np.uint8)
    contours, tree = cv2.findContours(bits, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [contour.reshape(-1, 2).astype(np.int64) for contour in contours]
    around = tree[0, :, 3].tolist()
    outer = [ring for ring, other in enumerate(around) if other < 0]
    holes = [ring for ring, other in enumerate(around) if other >= 0]
    holes.sort(key=lambda ring: int(rings[ring][:, 0].min()))
    part = {ring: number for number, ring in enumerate(outer)}
    return (
        [rings[ring] for ring in outer + holes],
        [part[r] for r in outer] + [part[around[r]] for r in holes],
        len(holes),
    )


def _to_holes(mask: Bits, nodes: Pixels, begins: Pixels, first: int) -> Seams:
    """A seam to each hole (rings from `first` on), from its leftmost pixel over the object to what is left of it.

    What is left of a hole is the outside, or a hole that reaches further left, so that the seams make no circle.
    """
    node_at = np.zeros(mask.shape, np.int64)
    first_nodes = _once(nodes)
    node_at[nodes[first_nodes, 1], nodes[first_nodes, 0]] = first_nodes
    seams = []
    for begin, end in zip(begins[first:-1].tolist(), begins[first + 1 :].tolist(), strict=True):
        node = begin + int(nodes[begin:end, 0].argmin())
        x, y = nodes[node].tolist()
        background = np.flatnonzero(~mask[y, :x])
        seams.append((int(node_at[y, background[-1] + 1 if background.size else 0]), node))
    return seams


def _between_parts(nodes: Pixels, parts: NDArray[np.int64]) -> Seams:
    """The shortest seams that join all parts: a minimum spanning tree over the neighbours of a triangulation.

    The nearest pixels of two parts are neighbours in Delaunay's triangulation; four points far away make it
    one even where all pixels are on a line.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import Delaunay

    first = _once(nodes)
    far = 4 * (int(nodes.max()) + 1)
    corners = [[-far, -far], [-far, far + 1], [far + 2, -far], [far + 3, far]]
    triangles = Delaunay(np.concatenate([nodes[first], corners])).simplices
    sides = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    a, b = first[sides[(sides < len(first)).all(axis=1)]].T
    a, b = np.where(parts[a] < parts[b], (a, b), (b, a))
    apart = parts[a] != parts[b]
    a, b = a[apart], b[apart]
    length = np.abs(nodes[a] - nodes[b]).max(axis=1)
    order = np.lexsort((b, a, length))
    pairs, shortest = np.unique(np.stack([parts[a], parts[b]])[:, order], axis=1, return_index=True)
    chosen = order[shortest]
    count = int(parts.max()) + 1
    tree = minimum_spanning_tree(coo_array((length[chosen], pairs), (count, count)).tocsr()).tocoo()
    seam_of = dict(zip(zip(*pairs.tolist(), strict=True), chosen.tolist(), strict=True))
    joined = [seam_of[pair] for pair in zip(tree.row.tolist(), tree.col.tolist(), strict=True)]
    return [(int(a[side]), int(b[side])) for side in joined]


def _once(nodes: Pixels) -> NDArray[np.int64]:
    """The first node of each pixel."""
    return np.asarray(np.unique(nodes[:, 1] * (nodes[:, 0].max() + 1) + nodes[:, 0], return_index=True)[1])


def _walk(begins: Pixels, seams: Seams) -> list[int]:
    """The nodes in the order in which they are gone through, seams there and back."""
    after = list(range(1, int(begins[-1]) + 1))
    for begin, end in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        after[end - 1] = begin
    same = list(range(len(after)))  # as which node an added one is
    for one, other in seams:
        there, back = len(after), len(after) + 1
        after += [after[other], after[one]]
        after[one], after[other] = there, back
        same += [other, one]
    walk, at = [0], after[0]
    while at:
        walk.append(same[at])
        at = after[at]
    return walk


def _corners(ring: Pixels) -> Pixels:
    """The pixels where a closed line turns; of the same pixel twice in a row, one."""
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)] if len(ring) > 1 else ring
    step = np.roll(ring, -1, axis=0) - ring
    straight = (step == np.roll(step, 1, axis=0)).all(axis=1) & (np.abs(step).max(axis=1) <= 1)
    return ring[~straight] if len(ring) > 1 else ring
