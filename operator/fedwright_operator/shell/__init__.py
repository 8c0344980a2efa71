"""What every shell around the reconcilers shares, whatever it keeps resources in and runs work on."""
