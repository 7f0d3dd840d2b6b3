"""Networks in torch; imported when a model is built, never by the command line's help."""
