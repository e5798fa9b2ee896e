"""Experiments: many runs of one configuration, started under mpirun or Slurm, each told once and within a cap of node-hours. Shared by studies and sweeps."""
