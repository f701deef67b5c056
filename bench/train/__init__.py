"""Training: the loop, its steps, its schedules and its state. It does not know the judge."""
