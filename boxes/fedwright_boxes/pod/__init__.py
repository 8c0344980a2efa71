"""Boxes in pods: one step of a work is one container, whose first process is the launcher. See `contract`."""
