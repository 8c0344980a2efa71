"""Judging: what one run is worth, and who wins. Data and labels live in the judge's steps alone, generated code in the bench's."""
