"""The nouns: data, threat, system, outcomes, record, weights, layers."""
