"""A suite says what is run: a TOML file here or a user's, read and checked. No torch."""
