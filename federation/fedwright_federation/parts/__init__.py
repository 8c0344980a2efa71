"""Parts to compose strategies of, one module a slot. None knows which methods use it."""
