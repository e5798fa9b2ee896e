"""Sweeps: trials of hyperparameters run under mpirun or Slurm within a budget, and the best of them with how sure that is (docs/sweeps.md)."""
