"""What a model is: its parts, its shapes, numbers that are finite and of one dtype."""

import torch

from variants.core.batch import Batch
from variants.core.bounds import elbo, iwae
from variants.core.support import support_of
from variants.core.vae import VAE
from variants.testing.case import BATCH, FITS, LATE, Case, hold, numbers, seeded


def parts(case: Case) -> None:
    """A VAE, whose likelihood is a density on the data."""
    model = case.model()
    hold(isinstance(model, VAE), f"the recipe returns a {type(model).__name__}, should be a variants.core.VAE")
    samples = model.objective.samples
    hold(isinstance(samples, int) and samples >= 1, f"objective.samples is {samples!r}, should be at least 1")
    support = model.likelihood.support
    hold(support in FITS, f"likelihood.support is {support!r}, should be one of {', '.join(FITS)}")
    hold(case.data.kind in FITS[support], f"a likelihood with {support} support is no density on {case.data.kind} data")


def support(case: Case) -> None:
    """q(z|x) and p(z) declare where they live, by which the judge knows what it may measure."""
    for mode in (True, False):
        model = case.model().train(mode)
        with torch.no_grad(), seeded(2):
            densities = [("p(z)", model.prior())] + ([("q(z|x)", model.infer(case.batch()))] if model.has_bound else [])
        for name, density in densities:
            hold(support_of(density) is not None, f"{name} does not declare its support: give its class one")


def shapes(case: Case) -> None:
    """Of every tensor that leaves the model."""
    model, x, shape = case.model().eval(), case.batch(), case.data.shape

    def same(name: str, got: torch.Size, expected: tuple[int, ...]) -> None:
        hold(got == expected, f"{name} has shape {tuple(got)}, should be {expected}")

    with torch.no_grad(), seeded(2):
        terms, p = model.terms(x, 3), model.prior()
        hold(len(terms.q.event_shape) == 1, f"q has event shape {tuple(terms.q.event_shape)}, should be (D,)")
        latent = terms.q.event_shape[0]
        same("the batch of q", terms.q.batch_shape, (BATCH,))
        same("the event of the prior", p.event_shape, (latent,))
        hold(p.batch_shape in ((), (BATCH,)), f"the prior has batch shape {tuple(p.batch_shape)}, should be ()")
        same("z", terms.z.shape, (3, BATCH, latent))
        same("log_px_z", terms.log_px_z.shape, (3, BATCH))
        same("log_pz", terms.log_pz.shape, (3, BATCH))
        if model.has_bound:
            same("log_qz_x", terms.log_qz_x.shape, (3, BATCH))
            same("kl", terms.kl.shape, (BATCH,))
            same("the ELBO", elbo(terms).shape, (BATCH,))
            same("the IWAE bound", iwae(terms).shape, (BATCH,))
        same("the loss", model.loss(x, LATE).shape, (BATCH,))
        same("reconstruct(x)", model.reconstruct(x).shape, (BATCH, *shape))
        same("sample(5)", model.sample(5).shape, (5, *shape))
        for lead in ((6,), (3, BATCH)):
            px = model.decode(torch.zeros(*lead, latent))
            same("the batch of p(x|z)", px.batch_shape, lead)
            same("the event of p(x|z)", px.event_shape, shape)


def finite_terms(case: Case) -> None:
    """No number is infinite or missing, in both modes."""
    for seed in range(3):
        for model in (case.model().eval(), case.model().train()):
            for name, value in numbers(model, case.batch(seed)).items():
                bad = int((~value.isfinite()).sum())
                hold(bad == 0, f"{bad} of {value.numel()} values of {name} are not finite")


def float64(case: Case) -> None:
    """A model in float64 computes in float64, and agrees with float32."""
    exact = numbers(case.model(dtype=torch.float64).eval(), case.batch(dtype=torch.float64))
    for name, value in exact.items():
        hold(value.dtype == torch.float64, f"{name} of a float64 model has dtype {value.dtype}")
    batch = case.batch(dtype=torch.float64)
    single = case.model().eval().reconstruct(Batch(batch.x.float(), c=batch.c))
    error = (single - exact["reconstruct"]).abs().max().item()
    hold(error < 1e-3, f"reconstructions in float32 and in float64 differ by up to {error:.2g}")
