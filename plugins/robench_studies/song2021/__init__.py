"""Song et al. (2021): weight mapping and feedback learning of quantised networks."""
