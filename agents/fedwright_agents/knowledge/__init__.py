"""What minds may look up: methods, parts, problem families, templates, rules and lessons, found by meaning and by word.

`search.open_knowledge` is the way in. Nothing is imported here, since a model and an index take time to load.
"""
