"""Experiments: each file opens with its command, its hardware and its expected numbers."""
