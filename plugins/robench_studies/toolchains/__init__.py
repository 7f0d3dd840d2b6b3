"""What compression does to robustness: float parents beside the files made of their weights.

- `systems.py`: the parents, the toolchains, and the records that stand for them
- `claims.py`: what an engineer hopes for, as conditions on paired differences
- `sections.py`: every file beside its parent, with a verdict
- `studies.py`: the studies made of these
"""
