"""Published tables: run their rows here, and say figure by figure whether we agree."""
