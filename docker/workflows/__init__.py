"""Workflows to begin with: mounted as /app/workflows, unless .env names others."""
