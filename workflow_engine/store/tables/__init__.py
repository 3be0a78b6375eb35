"""Every table, index and constraint, as SQLAlchemy Core metadata; Alembic reads it too."""
