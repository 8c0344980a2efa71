"""A real Flower deployment: SuperLink, SuperNodes, and what submits an app to them. Knows nothing of any algorithm."""
