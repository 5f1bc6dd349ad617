"""Tasks whose networks may have an encoder that comes pretrained, or trains apart from the rest."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmed.core.options import expect, expect_between, option
from fedmed.tasks.base import NetworkClass, Task

if TYPE_CHECKING:
    from torch import nn

REMEDY = "drop the option, or choose a --network that has one"


@dataclass(frozen=True)
class TransferLearning(Task, ABC):
    """A task with the options of an encoder. The file of weights is read where a run is launched, and nowhere else."""

    pretrained: Path | None = option(
        None, "file with weights of the network's encoder, by the names of this project, timm or torchvision"
    )
    freeze_encoder: int = option(0, "rounds at the beginning in which the encoder does not train")
    encoder_rate: float = option(1.0, "the encoder's learning rate as a share of that of the rest")

    def __post_init__(self) -> None:
        super().__post_init__()
        expect_between("freeze_encoder", self.freeze_encoder, 0, 1_000_000)
        rate = self.encoder_rate
        expect(0 < rate <= 1, "encoder_rate", rate, "a share above 0 and at most 1; --freeze_encoder lets it not train")
        for name, usual in (("pretrained", None), ("freeze_encoder", 0), ("encoder_rate", 1.0)):
            given = getattr(self, name)
            if given != usual:
                expected = f"no such option for the network {self._network_name}, which has no encoder: {REMEDY}"
                expect(self._has_encoder, name, given, expected)

    @property
    def _network_name(self) -> str:
        return self.network or next(iter(self.networks()))

    @property
    def _has_encoder(self) -> bool:
        made = self._chosen_network
        return bool(getattr(made.load() if isinstance(made, NetworkClass) else made, "ENCODER", ()))

    def first_model(self, seed: int) -> nn.Module:
        model = super().first_model(seed)
        if self.pretrained is not None:
            from fedmed.networks.pretrained_encoder import load_encoder, pretrained_encoder

            load_encoder(model, pretrained_encoder(model, self.pretrained))
        return model

    def pretrained_facts(self) -> dict[str, Any]:
        if self.pretrained is None:
            return {}
        import torch

        from fedmed.networks.pretrained_encoder import pretrained_encoder

        with torch.random.fork_rng(devices=[]):
            return pretrained_encoder(self.build_model(), self.pretrained).document()

    def parameter_groups(self, model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
        if self.encoder_rate == 1:
            return super().parameter_groups(model, learning_rate)
        from fedmed.networks.encoder import encoder_groups

        return encoder_groups(model, learning_rate, self.encoder_rate)

    def is_frozen(self, number: int) -> bool:
        """True where the encoder does not train in round ``number``, from 1."""
        return number <= self.freeze_encoder

    def into_training(self, model: nn.Module, number: int) -> None:
        super().into_training(model, number)
        if self.is_frozen(number):
            from fedmed.networks.encoder import freeze_encoder

            freeze_encoder(model)

    def training_told(self, rounds: int) -> str:
        parts = []
        if self.freeze_encoder >= rounds:
            parts.append(f"never trains, as it is frozen for {self.freeze_encoder} rounds of {rounds}")
        elif self.freeze_encoder:
            parts.append(f"frozen for rounds 1 to {self.freeze_encoder}")
        if self.encoder_rate != 1 and self.freeze_encoder < rounds:
            parts.append(f"{self.encoder_rate:g} of the others' learning rate")
        return ", ".join(parts)
