"""What is known of many records, kept in Parquet shards so that none is read twice."""
