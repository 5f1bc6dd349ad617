"""Errors of the perceptual hash on a set of brain MR images: other images that it takes for copies, copies missed.

python benchmarks/near_duplicates.py TREE      figures for each distance of two hashes, as a table in Markdown

The judge is a comparison of pixels: the correlation of the two images at 64 pixels, the best over the four mirrored
forms and shifts of up to 2 pixels. Two images above .9 are one picture, if in another contrast, or slices side by side
of one head; below, they are other pictures, and a small distance is a false positive. Images that correlate above .995
in a form without a shift are copies, and a large distance misses them. For the merged set also the test images whose
32-pixel miniature equals one in training, or nearly, and those of them that the hash misses.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from fedmed.core.cli import Parser, absolute_path, echo, run_script
from fedmed.core.errors import InputError
from fedmed.core.files import write_whole
from fedmed.data.audit.perceptual_hash import FORMS, NEAR, Hashes, first_of_group, near_pairs, perceptual_hashes
from fedmed.data.brain_mri.brain_image import BrainImage
from fedmed.data.brain_mri.brain_mri_layout import find_brain_mri
from fedmed.data.datalist import TEST_LIST, TESTING, list_json
from fedmed.data.picture_pixels import picture_pixels

PUBLIC = Path(__file__).resolve().parents[1] / "dataset_brain_mri" / "hospitals.json"

EDGE, MOST_SHIFT = 64, 2
"""Pixels of the images that the judge compares, and of the largest shift between them."""

SAME_PICTURE, COPY = 0.9, 0.995
"""Correlations from which two images are one picture, and copies."""

MINIATURE, STEPS = 32, (0, 1, 2)
"""Pixels of a miniature, and mean differences of two in grey levels (of 255) up to which they count as equal."""

MOST_BITS = 6

WITHOUT_EQUAL = "test_without_equal_miniatures.json"
"""A list of test images, beside ``test.json``."""

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
        if args.lists:
            echo(str(write_without_equal(args.lists, kept, np.stack(miniatures))))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(description="Measure how far the perceptual hash tells near copies from other images.")
    top.add_argument("tree", type=absolute_path, help="dataset folder")
    top.add_argument("--hospitals", type=absolute_path, help="as of prepare.py")
    top.add_argument(
        "--lists", type=absolute_path,
        help=f"of the merged set: write {WITHOUT_EQUAL} beside this folder's test.json, without the test images whose "
        "miniature equals one in training",
    )  # fmt: skip
    return top


def read(image: BrainImage) -> tuple[BrainImage, Hashes, Pixels, Pixels] | None:
    """An image with its hashes and two small copies; None where it cannot be read or is of one value."""
    try:
        grey = picture_pixels(image.path, 1)[0]
    except InputError:
        return None
    found = perceptual_hashes(grey)
    return None if found is None else (image, found, resized(grey, EDGE), np.rint(255 * resized(grey, MINIATURE)))


def resized(grey: Pixels, edge: int) -> Pixels:
    """The image (H, W) as a square, each pixel the mean of those in its place."""
    return np.asarray(PillowImage.fromarray(grey).resize((edge, edge), PillowImage.Resampling.BOX), dtype=np.float32)


def forms_of(images: Pixels) -> list[Pixels]:
    """Images (N, H, W) as they are, and mirrored in the three ways of the hash."""
    return [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]


def likeness(pixels: Pixels, pairs: NDArray[np.int64]) -> Pixels:
    """The best correlation of each pair (P, 2) of images (N, H, W) over forms and shifts of the second one, (P,)."""
    inner = slice(MOST_SHIFT, EDGE - MOST_SHIFT)
    middle = pixels[pairs[:, 0], inner, inner]
    best = np.full(len(pairs), -1.0, dtype=np.float32)
    for other in forms_of(pixels[pairs[:, 1]]):
        for down, right in product((-MOST_SHIFT, 0, MOST_SHIFT), repeat=2):
            rows, columns = (slice(MOST_SHIFT + by, EDGE - MOST_SHIFT + by) for by in (down, right))
            best = np.maximum(best, _correlation(middle, other[:, rows, columns]))
    return best


def _correlation(one: Pixels, other: Pixels) -> Pixels:
    first, second = (each.reshape(len(each), -1) - each.mean(axis=(1, 2))[:, None] for each in (one, other))
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray(np.einsum("pi,pi->p", first, second) / np.maximum(norms, 1e-12), dtype=np.float32)


def copies_of(pixels: Pixels) -> NDArray[np.int64]:
    """The pairs (P, 2) of images (N, H, W) that correlate above :data:`COPY` in one of the forms."""
    forms = [_normed(form) for form in forms_of(pixels)]
    found = [np.empty((0, 2), dtype=np.int64)]
    for form, start in product(forms, range(0, len(pixels), 256)):
        one, other = np.nonzero(forms[0][start : start + 256] @ form.T > COPY)
        found.append(np.stack([one + start, other], axis=1))
    every = np.sort(np.concatenate(found), axis=1)
    return np.unique(every[every[:, 0] < every[:, 1]], axis=0)


def _normed(images: Pixels) -> Pixels:
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def distances(hashes: Sequence[Hashes], pairs: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits in which the hashes of each pair differ, in the forms in which they are least."""
    known = np.array(hashes, dtype=np.uint64).reshape(-1, FORMS)
    one, other = known[pairs[:, 0]], known[pairs[:, 1]]
    apart = np.bitwise_count(np.concatenate([one[:, :1] ^ other, one ^ other[:, :1]], axis=1))
    return np.asarray(apart.min(axis=1))


def table(hashes: Sequence[Hashes], pixels: Pixels) -> str:
    """The figures of each largest distance: pairs, other pictures among them, copies that it misses, groups."""
    near, copies = near_pairs(hashes, MOST_BITS), copies_of(pixels)
    bits, copy_bits = distances(hashes, near), distances(hashes, copies)
    best = likeness(pixels, near)
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


def tested(images: Sequence[BrainImage], hashes: Sequence[Hashes], miniatures: Pixels) -> str:
    """The published test's images in groups with training images, and those with a miniature equal to one's."""
    tests = [place for place, image in enumerate(images) if image.official_test]
    by_hash = _with_training(images, hashes)
    lines = [
        f"\n{len(by_hash)} of {len(tests)} test images are in a group with a training image (hashes at most {NEAR} "
        f"bits apart). Miniatures of {MINIATURE} pixels find, by their mean difference from a training image's:"
    ]
    for how, forms in (("as they are", 1), ("or mirrored", FORMS)):
        apart = least_steps(images, miniatures, forms)
        for step in STEPS:
            equal = {test for test, least in apart.items() if least <= step}
            missed = f"{len(equal)}, of which the hash misses {len(equal - by_hash)}"
            lines.append(f"- {how}, up to {step} grey levels: {missed}")
    return "\n".join(lines)


def _with_training(images: Sequence[BrainImage], hashes: Sequence[Hashes]) -> set[int]:
    """The places of the test images in groups with a training image."""
    firsts = first_of_group(len(images), near_pairs(hashes, NEAR))
    in_training = {first for first, image in zip(firsts, images, strict=True) if not image.official_test}
    pairs = enumerate(zip(firsts, images, strict=True))
    return {place for place, (first, image) in pairs if image.official_test and first in in_training}


def least_steps(images: Sequence[BrainImage], miniatures: Pixels, forms: int) -> dict[int, float]:
    """The distance of each test image's miniature to the nearest training image's, in mean grey levels, by place.

    Args:
        forms: how many of the mirrored forms are compared; 1 for the image as it is.
    """
    trained = np.array([not image.official_test for image in images])
    known = [form[trained] for form in forms_of(miniatures)[:forms]]
    tests = np.flatnonzero(~trained).tolist()
    return {test: min(_least_step(form, miniatures[test]) for form in known) for test in tests}


def write_without_equal(lists: Path, images: Sequence[BrainImage], miniatures: Pixels) -> Path:
    """Write the list of the test images without an equal miniature in training beside ``test.json``.

    Raises:
        InputError: there is no such list, or it cannot be read.
    """
    equal = {images[place].file for place, least in least_steps(images, miniatures, 1).items() if least == 0}
    try:
        entries = json.loads((lists / TEST_LIST).read_text(encoding="utf-8"))[TESTING]
        kept = [entry for entry in entries if entry["name"] not in equal]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{lists / TEST_LIST} cannot be read ({error}); make it with prepare.py split.") from error
    write_whole(lists / WITHOUT_EQUAL, list_json({TESTING: kept}))
    return lists / WITHOUT_EQUAL


def _least_step(training: Pixels, test: Pixels) -> float:
    return float(np.abs(training - test).mean(axis=(1, 2)).min())


if __name__ == "__main__":
    sys.exit(run_script(main))
