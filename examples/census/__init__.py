"""What the source census does with files, facts and pages; knows nothing of workflows."""
