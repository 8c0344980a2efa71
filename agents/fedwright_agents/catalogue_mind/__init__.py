"""The mind that needs no model and no key: it answers every role from what the catalogue says.

It is an honest default and the baseline of every other mind. What it cannot decide it asks, what it cannot mend it says.
"""
