"""Text for a terminal: what minds, candidates and users wrote cannot move the cursor, hide a line or pass for another."""


def plain(text: str) -> str:
    """Its letters, tabs and line ends; a question mark for everything else that a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def plain_line(text: str) -> str:
    """The same on one line."""
    return plain(" ".join(text.splitlines()))
