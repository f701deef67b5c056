"""Records -> comparison groups, means, intervals and verdicts. No torch."""
