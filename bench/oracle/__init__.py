"""The oracle suite: the judge against the linear Gaussian model, where the truth is known in closed form."""
