"""The HTTP API: FastAPI over the client; ``create_api`` makes the application, ``wfe api`` serves it."""
