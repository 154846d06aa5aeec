"""What anybody's recordings, table and split give away: copies, leaks, damaged clips."""
