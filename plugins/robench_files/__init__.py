"""Files that ship: a foreign toolchain's network as the model, and the runtimes that answer."""
