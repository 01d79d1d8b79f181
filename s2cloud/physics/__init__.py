"""Floor 1: radiative transfer and geometry. NumPy in, NumPy out, no clock, disk or dask."""
