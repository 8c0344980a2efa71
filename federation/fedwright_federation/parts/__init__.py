"""Parts to compose strategies of: one module a slot for those that stand alone, one a concern for those that go together."""
