"""The training loop: recipes, augmentation, optimisers, checkpoints."""
