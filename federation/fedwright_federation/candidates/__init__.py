"""What a candidate's code is and what it must hold to: static checks, loading, and the contract tests of the bench."""
