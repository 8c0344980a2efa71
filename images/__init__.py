"""Container images: what is in each, the locks that follow from it, and how they are built.

`python -m images locks` and `python -m images build`; the images themselves are the Dockerfiles beside this file.
"""
