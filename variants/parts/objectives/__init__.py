"""Objectives: what training minimises. The first door out of a model; no reported number ever passes through it."""

from variants.parts.objectives.aggregate import DipI, DipII, InfoVae, TotalCorrelation
from variants.parts.objectives.base import Objective, Sampled, linear_warmup
from variants.parts.objectives.codes import Lfq, Vq
from variants.parts.objectives.discrete import Disarm, Vimco
from variants.parts.objectives.elbo import Beta, Capacity, Cyclical, Elbo, Reconstruction, StickingTheLanding
from variants.parts.objectives.games import Adversarial, Factor, VaeGan
from variants.parts.objectives.importance import (
    CombinationIwae,
    Iwae,
    IwaeDreg,
    MultiplyIwae,
    PartialIwae,
    Renyi,
    VrMax,
    negative_log_mean,
)
from variants.parts.objectives.labelled import SemiSupervised
from variants.parts.objectives.lagging import Lagging
from variants.parts.objectives.matching import SlicedWasserstein, WaeMmd
from variants.parts.objectives.rates import FreeBits, Geco, JointCapacity
from variants.parts.objectives.regularised import RaeGp, RaeL2
from variants.parts.objectives.self_normalised import ReweightedWakeSleep, Thermodynamic

__all__ = [
    "Adversarial",
    "Beta",
    "Capacity",
    "CombinationIwae",
    "Cyclical",
    "DipI",
    "DipII",
    "Disarm",
    "Elbo",
    "Factor",
    "FreeBits",
    "Geco",
    "InfoVae",
    "Iwae",
    "IwaeDreg",
    "JointCapacity",
    "Lagging",
    "Lfq",
    "MultiplyIwae",
    "Objective",
    "PartialIwae",
    "RaeGp",
    "RaeL2",
    "Reconstruction",
    "Renyi",
    "ReweightedWakeSleep",
    "Sampled",
    "SemiSupervised",
    "SlicedWasserstein",
    "StickingTheLanding",
    "Thermodynamic",
    "TotalCorrelation",
    "VaeGan",
    "Vimco",
    "Vq",
    "VrMax",
    "WaeMmd",
    "linear_warmup",
    "negative_log_mean",
]
