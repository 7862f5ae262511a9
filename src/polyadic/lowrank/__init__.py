"""Questions to a decomposition: entries, slices, rankings, new rows."""
