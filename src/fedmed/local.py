"""One site's side of a round: score the global model, train it on the site's cases. Knows nothing of FLARE's loop."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from monai.data import ThreadDataLoader
from nvflare.app_common.abstract.fl_model import FLModel

from fedmed.data.case_facts import FactsBook
from fedmed.data.datalist import datalist_path, load_datalist
from fedmed.data.exchange import answer, key_of_this_site
from fedmed.data.finding import refuse_errors
from fedmed.experiment import Experiment
from fedmed.metrics import CASES


@dataclass(frozen=True)
class Trained:
    """What a round of local training came to."""

    steps: int
    epoch_losses: tuple[float, ...]
    seconds: float


class LocalSite:
    """A site's model, optimiser and cases, which live as long as its process.

    Raises:
        InputError: the site's datalist, a file that it names or its cache folder cannot be used.
    """

    def __init__(self, experiment: Experiment, site: str) -> None:
        self.experiment, self.site = experiment, site
        self.task, self.training = experiment.task, experiment.training
        self.device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        dataset, lists = experiment.data.resolved()
        datalist = load_datalist(datalist_path(lists, site), dataset)
        caching = experiment.caching()
        self.audit = self.task.audit(site, datalist, self.training.allow_overlap, book=FactsBook(caching.disk))
        refuse_errors(self.audit.findings, f"the data of {site}")
        self.train_set = self.task.train_set(datalist, caching)
        self.eval_set = self.task.eval_set(datalist.validation, datalist.label_scheme, caching)
        self.model = self.task.build_model().to(self.device)
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.training.learning_rate, weight_decay=self.training.weight_decay
        )
        self.loss = self.task.loss()
        self.hook = experiment.algorithm.hook()

    def images(self) -> dict[str, list[str]]:
        """Keyed hashes of this site's images, by which the server finds those that another site has too."""
        return answer(self.audit, key_of_this_site(), self.training.allow_overlap)

    def load(self, params: Mapping[str, torch.Tensor]) -> None:
        """Take over the global weights."""
        self.model.load_state_dict({name: torch.as_tensor(values) for name, values in params.items()})

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the weights on the CPU."""
        return {name: values.detach().cpu().clone() for name, values in self.model.state_dict().items()}

    def evaluate(self) -> dict[str, float]:
        """The task's metrics on this site's validation cases; no name of a case is among them."""
        started = time.time()
        self.model.eval()
        with torch.inference_mode(), autocast(self.training.precision, self.device):
            metrics = self.task.metrics(self.task.evaluate(self.model, self.eval_set, self.device))
        cases = len(self.eval_set)  # type: ignore[arg-type]
        return {**metrics, CASES: cases, "val_seconds": time.time() - started}

    def train(self, received: FLModel) -> Trained:
        """Train for the local epochs of one round, from the weights in ``self.model``."""
        started = time.time()
        loader = self._loader(received.current_round or 0)
        self.hook.start_round(self.model, received)
        self.model.train()
        losses = tuple(self._epoch(loader) for _ in range(self.training.aggregation_epochs))
        return Trained(len(loader) * len(losses), losses, time.time() - started)

    def _epoch(self, loader: ThreadDataLoader) -> float:
        losses = [self._step(batch["image"].to(self.device), batch["label"].to(self.device)) for batch in loader]
        return math.fsum(losses) / len(losses)

    def _step(self, image: torch.Tensor, label: torch.Tensor) -> float:
        with autocast(self.training.precision, self.device):
            output = self.model(image)
        loss = self.loss(output.float(), label)
        self.optimizer.zero_grad()
        (loss + self.hook.penalty(self.model)).backward()
        self.optimizer.step()
        self.hook.after_step(self.model)
        return loss.item()

    def _loader(self, round_number: int) -> ThreadDataLoader:
        """The round's batches. Everything random in a round follows from seed, site and round alone."""
        batches, dropout = site_seeds(self.training.seed, self.site, round_number)
        torch.manual_seed(dropout)
        generator = torch.Generator().manual_seed(batches)  # MONAI seeds the transforms from it too
        return ThreadDataLoader(
            self.train_set,  # type: ignore[arg-type]
            batch_size=self.training.batch_size,
            shuffle=True,
            num_workers=0,
            generator=generator,
        )


def site_seeds(seed: int, site: str, round_number: int) -> tuple[int, int]:
    """Two independent 32-bit seeds, the same in every process that asks for the same site and round.

    NumPy's global generator stays unseeded on purpose: FLARE's privacy filter draws its noise from it.
    """
    sequence = np.random.SeedSequence([seed, round_number, *site.encode()])
    first, second = (int(value) for value in sequence.generate_state(2))
    return first, second


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The arithmetic of forward passes: ``bf16``, ``fp32``, or ``auto`` for bf16 where it is a gain."""
    use = precision == "bf16" or (precision == "auto" and computes_in_bf16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=use)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 numbers itself, so that autocast is a gain."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
