"""The API: a FastAPI application that owns the cache."""
