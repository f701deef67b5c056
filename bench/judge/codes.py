"""How the codes of a model that has some are used, and where in an image they stand."""

import torch
from torch import Tensor

from variants.core import VAE, Batch


def usage(indices: Tensor, count: int, books: int = 1) -> dict[str, float]:
    """How many codes of a book are used, as if equally often, and which share of them is never used.

    Source: van den Oord, Vinyals and Kavukcuoglu 2017, arXiv:1711.00937, the authors' code (perplexity).

    Args:
        indices: the codes of N examples, `[N, V]`, those of the first book first.
        count: K, codes a book.
        books: their number; figures are means over them.

    Returns:
        `code_perplexity`: exp of the entropy of how often each code is used, from 1 to K. `dead_codes`: from 0 to 1.
    """
    perplexity, dead = 0.0, 0.0
    for part in indices.cpu().chunk(books, dim=-1):
        frequency = part.flatten().bincount(minlength=count).double() / part.numel()
        perplexity += torch.exp(-torch.special.xlogy(frequency, frequency).sum()).item() / books
        dead += (frequency == 0).double().mean().item() / books
    return {"code_perplexity": perplexity, "dead_codes": dead}


def code_maps(model: VAE, x: Tensor | Batch) -> Tensor | None:
    """The index of the code at each place of images `[B, C, H, W]`, `[B, h, w]`, of the first book; None of codes that
    are no map."""
    q, sites = model.infer(x), getattr(model.encoder, "sites", None)
    if sites is None or not hasattr(q, "indices"):
        return None
    places = sites[0] * sites[1]
    return q.indices[:, :places].reshape(len(x), *sites)  # type: ignore[no-any-return]
