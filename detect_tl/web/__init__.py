"""A page and an HTTP API around a detector. Needs the extra `serve`; see `server.serve`."""
