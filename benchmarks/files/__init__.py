"""What files of foreign toolchains keep of a network's robustness, and how well twins search."""
