"""How far the perceptual hash tells near copies from other images, on a set of brain MR images.

python benchmarks/near_duplicates.py TREE      figures for each distance of two hashes, as a table in Markdown

The judge is a comparison of pixels that is too slow for every pair of a large set at full size: the correlation of the
two images at 64 pixels, the best over shifts of up to 3 pixels. Two images above .9 are one picture, if in another
contrast, or slices side by side of one head; below, they are other pictures, and a small distance is a false positive.
Images that correlate above .995 without a shift are copies, and a large distance misses them. For the merged set also
the test images whose 32-pixel miniature equals one in training, or nearly, and those of them that the hash misses.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.data.audit.perceptual_hash import NEAR, first_of_group, near_pairs, perceptual_hash
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.brain_mri_layout import find_brain_mri
from fedmed.data.picture_pixels import picture_pixels

PUBLIC = Path(__file__).resolve().parents[1] / "dataset_brain_mri" / "hospitals.json"

EDGE, SHIFTS = 64, 3
"""Pixels of the images that the judge compares, and of the largest shift between them."""

SAME_PICTURE, COPY = 0.9, 0.995
"""Correlations from which two images are one picture, and copies."""

MINIATURE, STEPS = 32, (0, 1, 2)
"""Pixels of a miniature, and mean differences of two in grey levels (of 255) up to which they count as equal."""

MOST_BITS = 8

Pixels = NDArray[np.float32]


def main(arguments: Sequence[str]) -> None:
    """Print the figures of a set."""
    args = parser().parse_args(arguments)
    images = find_brain_mri(args.tree, args.hospitals, PUBLIC).images
    with ThreadPoolExecutor(max_workers=4) as pool:
        answers = [each for each in pool.map(read, images) if each is not None]
    kept, hashes, pixels, miniatures = zip(*answers, strict=True)
    echo(table(hashes, np.stack(pixels)))
    if any(image.official_test for image in kept):
        echo(tested(kept, hashes, np.stack(miniatures)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(description="Measure how far the perceptual hash tells near copies from other images.")
    top.add_argument("tree", type=absolute_path, help="dataset folder")
    top.add_argument("--hospitals", type=absolute_path, help="as of prepare.py")
    return top


def read(image: BrainImage) -> tuple[BrainImage, int, Pixels, Pixels] | None:
    """An image with its hash and two small copies; None where it cannot be read or is of one value."""
    try:
        grey = picture_pixels(image.path, 1)[0]
    except InputError:
        return None
    found = perceptual_hash(grey)
    return None if found is None else (image, found, resized(grey, EDGE), np.rint(255 * resized(grey, MINIATURE)))


def resized(grey: Pixels, edge: int) -> Pixels:
    """The image (H, W) as a square, each pixel the mean of those in its place."""
    return np.asarray(PillowImage.fromarray(grey).resize((edge, edge), PillowImage.Resampling.BOX), dtype=np.float32)


def correlations(pixels: Pixels, pairs: NDArray[np.int64]) -> tuple[Pixels, Pixels]:
    """Of each pair (P, 2) of images (N, H, W): the correlation, and the best over shifts of the second image."""
    inner = slice(SHIFTS, EDGE - SHIFTS)
    plain = _correlation(pixels[pairs[:, 0]], pixels[pairs[:, 1]])
    shifts = [(down, right) for down in range(-SHIFTS, SHIFTS + 1) for right in range(-SHIFTS, SHIFTS + 1)]
    middle = pixels[pairs[:, 0], inner, inner]
    best = plain
    for down, right in shifts:
        rows, columns = (slice(SHIFTS + by, EDGE - SHIFTS + by) for by in (down, right))
        best = np.maximum(best, _correlation(middle, pixels[pairs[:, 1], rows, columns]))
    return plain, best


def _correlation(one: Pixels, other: Pixels) -> Pixels:
    first, second = (each.reshape(len(each), -1) - each.mean(axis=(1, 2))[:, None] for each in (one, other))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray(np.einsum("pi,pi->p", first, second) / np.maximum(norms, 1e-12), dtype=np.float32)


def copies_of(pixels: Pixels) -> NDArray[np.int64]:
    """The pairs (P, 2) of images (N, H, W) that correlate above :data:`COPY` without a shift."""
    flat = pixels.reshape(len(pixels), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    found = [np.empty((0, 2), dtype=np.int64)]
    for start in range(0, len(flat), 256):
        one, other = np.nonzero(flat[start : start + 256] @ flat[start:].T > COPY)
        found.append(start + np.stack([one, other], axis=1)[one < other])
    return np.concatenate(found)


def distances(hashes: Sequence[int], pairs: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits in which the hashes of each pair differ."""
    known = np.array(hashes, dtype=np.uint64)
    return np.bitwise_count(known[pairs[:, 0]] ^ known[pairs[:, 1]])


def table(hashes: Sequence[int], pixels: Pixels) -> str:
    """The figures of each largest distance: pairs, other pictures among them, copies that it misses, groups."""
    near, copies = near_pairs(hashes, MOST_BITS), copies_of(pixels)
    bits, copy_bits = distances(hashes, near), distances(hashes, copies)
    _, best = correlations(pixels, near)
    every = len(hashes) * (len(hashes) - 1) // 2
    lines = [
        f"{len(hashes)} images, {every} pairs; {len(copies)} are copies (correlation above {COPY} at {EDGE} pixels)",
        "",
        "| bits apart | pairs | other pictures | share | in a million pairs | copies missed | groups | largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for most in range(0, MOST_BITS + 1, 2):
        found = near[bits <= most]
        false = int((best[bits <= most] < SAME_PICTURE).sum())
        firsts = first_of_group(len(hashes), found)
        missed = float((copy_bits > most).mean()) if len(copies) else 0.0
        lines.append(
            f"| {most} | {len(found)} | {false} | {false / max(len(found), 1):.1%} | {1e6 * false / every:.2f} "
            f"| {missed:.1%} | {len(set(firsts))} | {np.bincount(firsts).max()} |"
        )
    return "\n".join(lines)


def tested(images: Sequence[BrainImage], hashes: Sequence[int], miniatures: Pixels) -> str:
    """The published test's images in groups with training images, and those with a miniature equal to one's."""
    tests = [place for place, image in enumerate(images) if image.official_test]
    trained = np.array([place for place, image in enumerate(images) if not image.official_test])
    firsts = np.array(first_of_group(len(images), near_pairs(hashes, NEAR)))
    in_training = {*firsts[trained].tolist()}
    by_hash = {test for test in tests if int(firsts[test]) in in_training}
    apart = [float(np.abs(miniatures[trained] - miniatures[test]).mean(axis=(1, 2)).min()) for test in tests]
    lines = [
        f"\n{len(by_hash)} of {len(tests)} test images are in a group with a training image (hashes at most {NEAR} "
        f"bits apart). Miniatures of {MINIATURE} pixels find, by their mean difference from a training image's:"
    ]
    for step in STEPS:
        equal = {test for test, least in zip(tests, apart, strict=True) if least <= step}
        lines.append(f"- up to {step} grey levels: {len(equal)}, of which the hash misses {len(equal - by_hash)}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_script(main))
