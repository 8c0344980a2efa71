"""`fedwright bench`: the same tasks for every mind, each run beside tuned baselines on the same fresh seeds."""
