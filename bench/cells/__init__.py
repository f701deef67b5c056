"""One run in one process: prepare, train, judge, time, keep the weights."""
