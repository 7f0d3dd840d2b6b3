"""Lin et al. (ICCV 2021): certified smoothing with integers."""
