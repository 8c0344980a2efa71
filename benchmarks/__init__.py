"""Measured figures, each by the command that a reader can repeat: `make bench`. Never part of the tests."""
