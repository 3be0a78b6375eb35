"""The doctor: looks at an installation, says what is wrong with it, and what to do."""
