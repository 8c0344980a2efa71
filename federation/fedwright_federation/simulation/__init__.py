"""Running a strategy: two halves, client and server, and what carries messages between them in one process or in many."""
