"""The programs of a federation's pods. They hold no token of the cluster's and ask its API for nothing."""
