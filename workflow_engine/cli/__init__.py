"""The ``wfe`` command. Thin: what it does lives in the client, the bootstrap and the embedded servers."""
