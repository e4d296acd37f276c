"""The metrics of MVTec LOCO AD as pure functions: arrays in, numbers out."""
