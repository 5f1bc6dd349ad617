"""The time to write and read a cached case in some file formats, and the cost of a training item in each way.

python benchmarks/cache_load.py             formats, for a case of BraTS's size and for a phantom's
python benchmarks/cache_load.py --items     training items of 20 phantoms: nothing kept, cold disk, warm disk, memory
python benchmarks/cache_load.py --memory    memory of four processes that hold the same cases, mapped or read

The ways run in turn, so that whatever else the machine does falls on all of them; medians are compared, on one thread.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import numpy as np
import psutil
import torch

from fedmed.core.cli import Parser, echo, run_script
from fedmed.data.datalist import load_datalist
from fedmed.data.phantoms.phantom import make_phantom
from fedmed.data.prepared.cache import Cache, Caching
from fedmed.data.prepared.compact import pack, unpack
from fedmed.tasks.brats18 import Brats18

BOXES = {"BraTS": ((140, 175, 140), (240, 240, 155)), "phantom": ((80, 88, 72), (96, 96, 80))}
TURNS, CASES, MIB = 9, 8, 2**20
Item = dict[str, torch.Tensor]


def main(arguments: Sequence[str]) -> None:
    """Print a table."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", action="store_true")
    parser.add_argument("--memory", action="store_true")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if args.items:
            items(Path(folder))
        elif args.memory:
            memory(Path(folder))
        else:
            for title, (box, full) in BOXES.items():
                formats(title, random_case(box, full), Path(folder))


def random_case(box: tuple[int, int, int], full: tuple[int, int, int]) -> Item:
    """A case in compact form; noise, so that nothing can be compressed or guessed."""
    rng = np.random.default_rng(0)
    return {
        "image": torch.from_numpy(rng.standard_normal((4, *box), dtype=np.float32).astype(np.float16)),
        "label": torch.from_numpy(rng.integers(0, 5, (1, *box), dtype=np.uint8)),
        "origin": torch.zeros(3, dtype=torch.int64),
        "full_size": torch.tensor(full),
    }


def formats(title: str, item: Item, folder: Path) -> None:
    """One row a format: milliseconds and the ratio to this project's, to write and to read."""
    cache = Cache(folder / title, 10**12)
    entry = f"{0:064x}.case"
    paths = {name: folder / f"{title}-{name}" for name in ("pt", "both.npz", "image.npy", "label.npy", "full.pt")}
    full = {"image": torch.zeros(4, *item["full_size"].tolist()), "label": torch.zeros(3, *item["full_size"].tolist())}
    full["label"] = full["label"].to(torch.uint8)
    write: dict[str, Callable[[], Any]] = {
        "this project's": lambda: cache.write(entry, pack(item)),
        "np.save, two files": lambda: save_arrays(item, paths),
        "np.savez": lambda: np.savez(paths["both.npz"], image=item["image"].numpy(), label=item["label"].numpy()),
        "torch.save": lambda: torch.save(item, paths["pt"]),
        "torch.save, whole float32": lambda: torch.save(full, paths["full.pt"]),
    }
    read: dict[str, Callable[[], Any]] = {
        "this project's": lambda: unpack(cache.read(entry) or b""),
        "np.save, two files": lambda: [np.load(paths[f"{n}.npy"]) for n in ("image", "label")],
        "np.save, mapped": lambda: [touched(np.load(paths[f"{n}.npy"], mmap_mode="r")) for n in ("image", "label")],
        "np.savez": lambda: dict(np.load(paths["both.npz"])),
        "torch.save": lambda: torch.load(paths["pt"], weights_only=True),
        "torch.save, mapped": lambda: touched(torch.load(paths["pt"], weights_only=True, mmap=True)["image"].numpy()),
        "torch.save, whole float32": lambda: torch.load(paths["full.pt"], weights_only=True),
    }
    table(f"{title}: write", timed(write), "this project's")
    table(f"{title}: read", timed(read), "this project's")


def save_arrays(item: Item, paths: Mapping[str, Path]) -> None:
    """A file an array."""
    for name in ("image", "label"):
        np.save(paths[f"{name}.npy"], item[name].numpy())


def touched(array: np.ndarray) -> np.ndarray:
    """Something of every page of a mapped file, which is not read before."""
    array.reshape(-1).view(np.uint8)[::4096].sum()
    return array


def items(folder: Path) -> None:
    """Build every training item of 20 phantoms of 96x96x80 voxels once, in each way."""
    make_phantom(folder / "set", folder / "set" / "datalist", sites=1, cases=20, validation=1, size=(96, 96, 80))
    datalist = load_datalist(next((folder / "set" / "datalist").glob("*.json")), folder / "set")
    task = Brats18(roi_size=(64, 64, 64))

    def epoch(caching: Caching) -> Callable[[], Any]:
        dataset = task.train_set(datalist, caching)
        return lambda: [dataset[n] for n in range(len(datalist.training))]

    def cold() -> None:
        with tempfile.TemporaryDirectory(dir=folder) as empty:
            epoch(Caching(disk=Cache(Path(empty), 10**12)))()

    warm = epoch(Caching(disk=Cache(folder / "warm", 10**12)))
    warm()
    ways = {"nothing kept": epoch(Caching()), "disk, cold": cold, "disk, warm": warm, "memory": epoch(Caching(1.0))}
    table(f"{len(datalist.training)} training items", timed(ways, turns=3), "nothing kept")


def memory(folder: Path) -> None:
    """Proportional memory of four processes with the same cases of BraTS's size, each in its own way."""
    item = random_case(*BOXES["BraTS"])
    for number in range(CASES):
        np.save(folder / f"{number}.npy", item["image"].numpy())
    for title, mode in (("read", None), ("mapped", "r")):
        echo(f"{title:<10}{held(folder, mode) / MIB:8.0f} MiB in four processes with {CASES} cases each")


def held(folder: Path, mode: Any) -> float:
    """Bytes, beyond what the processes take without the cases; a shared page counts once."""
    context = multiprocessing.get_context("fork")
    barrier, answer = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_hold, args=(folder, mode, barrier, answer)) for _ in range(4)]
    for process in processes:
        process.start()
    total = sum(answer.get() for _ in processes)
    for process in processes:
        process.join()
    return float(total)


def _hold(folder: Path, mode: Any, barrier: Any, answer: Any) -> None:
    before = psutil.Process().memory_full_info().pss
    cases = [touched(np.load(folder / f"{number}.npy", mmap_mode=mode)) for number in range(CASES)]
    barrier.wait()
    answer.put(psutil.Process().memory_full_info().pss - before)
    barrier.wait()
    del cases


def timed(ways: Mapping[str, Callable[[], Any]], turns: int = TURNS) -> dict[str, float]:
    """The median seconds of each way, after a first turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values[1:])) for name, values in seconds.items()}


def table(title: str, seconds: Mapping[str, float], base: str) -> None:
    """A row a way: milliseconds and the ratio to ``base``."""
    echo(f"\n{title:<32}{'ms':>10}{'ratio':>8}")
    for name, value in seconds.items():
        echo(f"{name:<32}{value * 1e3:>10.1f}{value / seconds[base]:>8.2f}")


if __name__ == "__main__":
    sys.exit(run_script(main))
