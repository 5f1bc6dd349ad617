"""The gain of the quick forms of a convolution, layer by layer of SegResNet and for a whole training step.

python benchmarks/convolution.py --threads 1
ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/convolution.py --threads 1
"""

import argparse
import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "src"), str(Path(__file__).resolve().parents[1])]

import torch
from monai.losses import DiceLoss
from torch import nn

from fedmed.core.cpu_convolution import use_cpu_convolutions
from fedmed.core.memory_format import use_channels_last
from model import BratsSegResNet

REPEATS = 7
Clock = Callable[[], float]
Work = Callable[[nn.Module, torch.Tensor], None]


def main() -> None:
    """Print a table a crop: milliseconds of forward and backward pass, the least of some repetitions made in turn.

    On one thread they are those of the processor, on more those of the clock on the wall.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--edges", type=int, nargs="+", default=[32, 48, 64], help="edges of the crop in voxels")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    now = time.process_time if args.threads == 1 else time.perf_counter  # other work disturbs the former least
    for edge in args.edges:
        print(f"\ncrop {edge}^3, fp32, {args.threads} threads, {torch.backends.cpu.get_cpu_capability()}")
        print("| layer | PyTorch ms | quick ms | times faster |\n|---|---:|---:|---:|")
        for name, layer, x in layers(edge):
            show(name, layer, x, backward, now)
        network = BratsSegResNet()
        use_channels_last(network)
        show("a training step", network, volume(4, edge), step(), now)


def layers(edge: int) -> list[tuple[str, nn.Module, torch.Tensor]]:
    """Each kind of convolution in the network, and what it gets in a crop of ``edge``^3."""
    kinds = [(4, 16, 3, 1, 1), (16, 16, 3, 1, 1), (16, 32, 3, 2, 1), (32, 32, 3, 1, 2), (32, 64, 3, 2, 2)]
    kinds += [(64, 64, 3, 1, 4), (64, 128, 3, 2, 4), (128, 128, 3, 1, 8)]
    kinds += [(128, 64, 1, 1, 8), (64, 32, 1, 1, 4), (32, 16, 1, 1, 2), (16, 3, 1, 1, 1)]
    made: list[tuple[str, nn.Module, torch.Tensor]] = []
    for before, after, kernel, stride, halved in kinds:
        layer = nn.Conv3d(before, after, kernel, stride, kernel // 2, bias=False)
        layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        name = f"{before} to {after}, {kernel}^3{', stride 2' * (stride == 2)}, at {edge // halved}^3"
        made.append((name, layer, volume(before, edge // halved)))
    return made


def volume(channels: int, edge: int) -> torch.Tensor:
    """(1, C, D, H, W), channels-last."""
    return torch.randn(1, channels, edge, edge, edge).to(memory_format=torch.channels_last_3d)


def backward(model: nn.Module, x: torch.Tensor) -> None:
    """Both passes of a layer within a network."""
    y = model(x.requires_grad_())
    y.backward(y.detach())


def step() -> Work:
    """A step of training without what prepares its data."""
    loss, optimizers = DiceLoss(sigmoid=True, squared_pred=True), dict[nn.Module, torch.optim.Optimizer]()

    def run(model: nn.Module, x: torch.Tensor) -> None:
        optimizer = optimizers.setdefault(model, torch.optim.Adam(model.parameters(), fused=True))
        optimizer.zero_grad()
        loss(model(x), (x[:, :3] > 0).float()).backward()
        optimizer.step()

    return run


def show(name: str, plain: nn.Module, x: torch.Tensor, work: Work, now: Clock) -> None:
    """Print a row; both forms run in turn, so that other work on the machine meets both."""
    quick = copy.deepcopy(plain)
    use_cpu_convolutions(quick)
    least = [float("inf"), float("inf")]
    for _ in range(REPEATS):
        for place, model in enumerate((plain, quick)):
            began = now()
            work(model, x)
            least[place] = min(least[place], 1000 * (now() - began))
    print(f"| {name} | {least[0]:.1f} | {least[1]:.1f} | {least[0] / least[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
