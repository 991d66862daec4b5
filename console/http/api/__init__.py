"""The HTTP API for shops: `/v1`, JSON, a key for each shop's server. docs/api.md tells how to use it."""
