"""A federated strategy as a Flower app: what winning code needs around it to run on nodes that hold their own data.

These files are copied into every package. They import each other relatively, the winner's code as `candidate`, and the
algorithm, its models and its two runtimes from the installed `fedwright_federation`.
"""
