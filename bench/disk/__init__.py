"""Whole files, and who may write in a folder."""
