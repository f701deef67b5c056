"""All that a plugin needs to test: the benchmark's own rules."""

from variants.testing import check_variant


def test_laplace() -> None:
    """By its registered name, so that the entry point is tested as well."""
    check_variant("laplace_posterior")


def test_laplace_with_other_parts() -> None:
    """Every keyword of the built-in parts works on it."""
    check_variant("laplace_posterior", network="conv", objective="iwae", samples=3, latent=4)
