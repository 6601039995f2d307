"""Studies: declared grids of architectures and settings, trained for real and ranked early."""
