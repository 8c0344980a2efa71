"""The mind of a language model: one function a role, behind the same protocols as the catalogue's.

A role renders its prompt, asks, reads the answer as hostile text, and tells the model what was wrong with it, a bounded number
of times. Models are reached through the gateway alone, so no key is ever here.
"""
