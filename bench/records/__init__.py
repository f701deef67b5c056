"""One run = one record: its form, its file, its name, and which of several counts. No torch."""
