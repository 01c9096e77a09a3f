"""Anything that yields records: today a live collector on this machine."""
