"""The parts that a variant is a choice of, and the one function that puts them together."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from variants.core.vae import VAE
from variants.core.vae import part_name as part_name
from variants.data_spec import DataSpec
from variants.parts import (
    code_priors,
    codes,
    conv_ladder,
    counts,
    coupling,
    discrete,
    discrete_priors,
    flows,
    hamiltonian,
    labelled,
    levels,
    likelihoods,
    networks,
    objectives,
    paired,
    pixel_decoder,
    poincare,
    posteriors,
    priors,
    refined,
    residual_conv,
    sphere,
    splines,
    staged,
    student_t,
    sylvester,
    top_down,
)
from variants.parts.checks import at_least
from variants.parts.initialisation import initialise
from variants.parts.own import own

Choice = str | Callable[..., Any]

# What a name means in each role. A variant outside this package passes its own class or function instead of a name.
PARTS: dict[str, dict[str, Callable[..., Any]]] = {
    "network": {
        "mlp": networks.mlp,
        "skip": networks.skip,
        "conv": networks.conv,
        "residual_conv": residual_conv.residual_conv,
        "conv_ladder": conv_ladder.conv_ladder,
        "linear": networks.linear,
    },
    "posterior": {
        "diagonal": posteriors.Diagonal,
        "laplace": posteriors.Laplace,
        "batch_norm": posteriors.BatchNorm,
        "full": posteriors.Full,
        "low_rank": posteriors.LowRank,
        "bottom_up": posteriors.BottomUp,
        "top_down": posteriors.TopDown,
        "planar": flows.Planar,
        "inverse_autoregressive": flows.InverseAutoregressive,
        "householder": flows.Householder,
        "sylvester": sylvester.Sylvester,
        "spline": splines.Spline,
        "semi_amortised": refined.SemiAmortised,
        "iterative": refined.Iterative,
        "hamiltonian": hamiltonian.Hamiltonian,
        "hyperspherical": sphere.Hyperspherical,
        "poincare": poincare.Poincare,
        "deterministic": posteriors.Deterministic,
        "bernoulli": discrete.Bernoulli,
        "concrete": discrete.Concrete,
        "one_hots": discrete.OneHots,
        "gumbel_softmax": discrete.GumbelSoftmax,
        "joint": discrete.Joint,
        "labelled": labelled.Labelled,
        "given_class": labelled.GivenClass,
        "paired": paired.Paired,
        "codes": codes.Codes,
        "grid_codes": codes.GridCodes,
        "sign_codes": codes.SignCodes,
        "stochastic_codes": codes.StochasticCodes,
        "precision_weighted": top_down.PrecisionWeighted,
        "residual_top_down": top_down.ResidualTopDown,
        "conv_residual_top_down": conv_ladder.ConvResidualTopDown,
    },
    "prior": {
        "standard_normal": priors.StandardNormal,
        "laplace": priors.Laplace,
        "gaussian_mixture": priors.GaussianMixture,
        "full_gaussian_mixture": priors.FullGaussianMixture,
        "flow": coupling.Flow,
        "vamp": priors.Vamp,
        "hierarchical": priors.Hierarchical,
        "with_momentum": hamiltonian.WithMomentum,
        "uniform_sphere": sphere.UniformSphere,
        "wrapped_normal": poincare.WrappedNormal,
        "autoregressive_normal": priors.AutoregressiveNormal,
        "bernoulli": discrete_priors.Bernoulli,
        "concrete": discrete_priors.Concrete,
        "one_hots": discrete_priors.OneHots,
        "joint": discrete_priors.Joint,
        "labelled_prior": labelled.LabelledPrior,
        "given_class_prior": labelled.GivenClassPrior,
        "codes": code_priors.Codes,
        "average_codes": code_priors.AverageCodes,
        "residual_codes": code_priors.ResidualCodes,
        "grid_codes": code_priors.GridCodes,
        "sign_codes": code_priors.SignCodes,
        "ladder_prior": top_down.LadderPrior,
        "conv_ladder_prior": conv_ladder.ConvLadderPrior,
    },
    "likelihood": {
        "bernoulli": likelihoods.Bernoulli,
        "continuous_bernoulli": likelihoods.ContinuousBernoulli,
        "gaussian": likelihoods.Gaussian,
        "student_t": student_t.StudentT,
        "heteroscedastic": likelihoods.Heteroscedastic,
        "discretised_logistic": levels.DiscretisedLogistic,
        "categorical_pixels": levels.CategoricalPixels,
        "beta_binomial": levels.BetaBinomial,
        "poisson": counts.Poisson,
        "negative_binomial": counts.NegativeBinomial,
        "zero_inflated_negative_binomial": counts.ZeroInflatedNegativeBinomial,
        "pixel_decoder": pixel_decoder.PixelDecoder,
    },
    "objective": {
        "elbo": objectives.Elbo,
        "beta": objectives.Beta,
        "iwae": objectives.Iwae,
        "iwae_dreg": objectives.IwaeDreg,
        "sticking_the_landing": objectives.StickingTheLanding,
        "total_correlation": objectives.TotalCorrelation,
        "reconstruction": objectives.Reconstruction,
        "staged": staged.Staged,
        "renyi": objectives.Renyi,
        "vr_max": objectives.VrMax,
        "multiply_iwae": objectives.MultiplyIwae,
        "partial_iwae": objectives.PartialIwae,
        "combination_iwae": objectives.CombinationIwae,
        "thermodynamic": objectives.Thermodynamic,
        "reweighted_wake_sleep": objectives.ReweightedWakeSleep,
        "capacity": objectives.Capacity,
        "cyclical": objectives.Cyclical,
        "info_vae": objectives.InfoVae,
        "dip_i": objectives.DipI,
        "dip_ii": objectives.DipII,
        "vimco": objectives.Vimco,
        "disarm": objectives.Disarm,
        "free_bits": objectives.FreeBits,
        "joint_capacity": objectives.JointCapacity,
        "geco": objectives.Geco,
        "semi_supervised": objectives.SemiSupervised,
        "vq": objectives.Vq,
        "lfq": objectives.Lfq,
        "factor": objectives.Factor,
        "lagging": objectives.Lagging,
        "adversarial": objectives.Adversarial,
        "vae_gan": objectives.VaeGan,
        "wae_mmd": objectives.WaeMmd,
        "sliced_wasserstein": objectives.SlicedWasserstein,
        "rae_l2": objectives.RaeL2,
        "rae_gp": objectives.RaeGp,
    },
}

# `assemble` gives these options unless the user does.
FROM_MODEL = ("data_size", "data_spec", "latent_size")

NATURAL_LIKELIHOOD = {
    "binary": "bernoulli",
    "unit": "continuous_bernoulli",
    "real": "gaussian",
    "levels": "discretised_logistic",
    "counts": "poisson",
}


class OptionError(TypeError):
    """An option that none of the chosen parts takes; `option` is its name."""

    def __init__(self, option: str, known: Iterable[str]) -> None:
        self.option = option
        known = ", ".join(sorted(known))
        super().__init__(f"no chosen part takes the option {option!r}; these are taken: {known or 'none'}")


def options_of(part: Callable[..., Any]) -> dict[str, Any]:
    """The hyper-parameters of a part: its keyword-only arguments and their defaults."""
    parameters = inspect.signature(part).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


def part_names(model: VAE) -> dict[str, str]:
    """What a model is a choice of: network, posterior, prior, likelihood, objective -> name."""
    roles = ("posterior", "prior", "likelihood", "objective")
    network = getattr(model.encoder, "network", part_name(model.encoder))
    return {"network": network} | {role: part_name(getattr(model, role)) for role in roles}


def _resolve(role: str, choice: Choice) -> Callable[..., Any]:
    if callable(choice):
        return choice
    known = PARTS[role]
    if not isinstance(choice, str) or choice not in known:
        near = difflib.get_close_matches(str(choice), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{role} must be one of {', '.join(known)}, got {choice!r}{hint}")
    return known[choice]


def assemble(
    data: DataSpec,
    *,
    latent: int = 20,
    network: Choice = "mlp",
    posterior: Choice = "diagonal",
    prior: Choice = "standard_normal",
    likelihood: Choice = "auto",
    objective: Choice = "elbo",
    init: str = "torch",
    encoder: nn.Module | None = None,
    decoder: nn.Module | None = None,
    **options: Any,
) -> VAE:
    """Build a `VAE` from named (or given) parts. Each option goes to the chosen part whose keyword it is.
    A part that takes `data_size` is given the data's size unless the user gives another, one that takes `data_spec` the
    data's spec, and one that takes `latent_size` the number of latents. The decoder is built for as many latents as the
    prior says it sees, and as many numbers for each value of the data as the likelihood takes.

    Every part is initialised from a random stream of its own, so two variants with one seed that share a part start
    with the same weights in it: what differs between them is the part that differs.

    Args:
        data: shape and kind of one example, number of training examples.
        latent: D, number of latent dimensions.
        network: a name in `PARTS`, or a function `(data, latent, **options) -> (encoder, decoder)`.
        posterior: a name, or a class taking `(features, latent, **options)`.
        prior: a name, or a class taking `(latent, **options)`.
        likelihood: a name, `"auto"` (the density that fits the data's kind), or a class taking `(data, **options)`.
        objective: a name, or a class taking `(**options)`.
        init: how the weights of all layers start, one of `INITIALISATIONS`.
        encoder: with `decoder`, in place of a network: your own modules, see `variants.parts.own.own`.
        decoder: see `encoder`.
        **options: keyword options of the chosen parts, such as `hidden`, `rank`, `sigma`, `beta`, `samples`.

    Raises:
        OptionError: an option that no chosen part takes.
        ValueError: an unknown part, or a value out of range.
    """
    at_least("latent", latent, 1)
    if encoder is not None and decoder is not None:
        network = own(encoder, decoder)
    elif encoder is not None or decoder is not None:
        raise ValueError("give both encoder and decoder, or a network")
    if likelihood == "auto":
        likelihood = NATURAL_LIKELIHOOD[data.kind]
    choices = {
        "network": network,
        "posterior": posterior,
        "prior": prior,
        "likelihood": likelihood,
        "objective": objective,
    }
    parts = {role: _resolve(role, choice) for role, choice in choices.items()}
    takes = {role: options_of(part) for role, part in parts.items()}
    takes_numbers = takes["network"].pop("numbers", None) is not None
    known = {name for names in takes.values() for name in names}
    for name in options:
        if name not in known:
            raise OptionError(name, known)
    for name, value in zip(FROM_MODEL, (data.size, data, latent), strict=True):
        options.setdefault(name, value)
    seeds = dict(zip(parts, torch.randint(2**62, (len(parts),), device="cpu").tolist(), strict=True))

    def make(role: str, *args: Any) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seeds[role])
            part = parts[role](*args, **{name: options[name] for name in takes[role] if name in options})
            for module in part if isinstance(part, tuple) else (part,):
                initialise(module, init)
            return part

    p = make("prior", latent)
    state = getattr(p, "state_size", None)
    seen = state or getattr(p, "seen", None) or latent
    scored = make("likelihood", data)
    if takes_numbers:
        takes["network"]["numbers"], options["numbers"] = 1, getattr(scored, "numbers", 1)
    elif getattr(scored, "numbers", 1) > 1:
        raise ValueError(
            f"likelihood {part_name(scored)} takes {scored.numbers} numbers for each value, and this network has no "
            "keyword numbers to be told so"
        )
    into, out = make("network", data, seen)
    model = VAE(
        encoder=into,
        posterior=make("posterior", into.features, latent),
        prior=p,
        decoder=top_down.Topped(out) if state else out if seen == latent else networks.Bottom(out, seen),
        likelihood=scored,
        objective=make("objective"),
    )
    model.options = {"latent": {"latent": latent, "init": init}} | {
        role: {
            name: options.get(name, default) for name, default in taken.items() if name not in (*FROM_MODEL, "numbers")
        }
        for role, taken in takes.items()
    }
    return model
