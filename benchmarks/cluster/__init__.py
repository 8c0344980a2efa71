"""What a request costs on the cluster of `make cluster`: one alone, and a hundred at one time."""
