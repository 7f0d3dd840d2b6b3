"""What an author of plugins sees: components, hooks, options, the registry, protocols."""
