"""Programs of mind boxes, one a role: read the input document, ask the mind, write the output document."""
