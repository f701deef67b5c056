"""Objectives: what training minimises. The first door out of a model; no reported number ever passes through it."""

from variants.parts.objectives.aggregate import DipI, DipII, InfoVae, TotalCorrelation
from variants.parts.objectives.base import Objective, Sampled, linear_warmup
from variants.parts.objectives.discrete import Disarm, Vimco
from variants.parts.objectives.elbo import Beta, Capacity, Cyclical, Elbo, Reconstruction, StickingTheLanding
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
from variants.parts.objectives.rates import FreeBits, Geco, JointCapacity
from variants.parts.objectives.self_normalised import ReweightedWakeSleep, Thermodynamic

__all__ = [
    "Beta",
    "Capacity",
    "CombinationIwae",
    "Cyclical",
    "DipI",
    "DipII",
    "Disarm",
    "Elbo",
    "FreeBits",
    "Geco",
    "InfoVae",
    "Iwae",
    "IwaeDreg",
    "JointCapacity",
    "MultiplyIwae",
    "Objective",
    "PartialIwae",
    "Reconstruction",
    "Renyi",
    "ReweightedWakeSleep",
    "Sampled",
    "StickingTheLanding",
    "Thermodynamic",
    "TotalCorrelation",
    "Vimco",
    "VrMax",
    "linear_warmup",
    "negative_log_mean",
]
