"""What a record says, held against what lies beside it, a part each."""
