"""Norms of what maps and quantization change in the weights, and what they amplify."""
