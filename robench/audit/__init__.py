"""The audit: does a robust accuracy mean anything, or were the gradients masked?"""
