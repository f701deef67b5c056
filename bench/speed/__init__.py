"""How fast it is, how that grows, and whether it stays so."""
