"""Searches of the web: asked of the one server that a profile names, priced, counted and answered as short findings.

No page is ever fetched: what a mind sees of the web is what a search engine tells of it.
"""
