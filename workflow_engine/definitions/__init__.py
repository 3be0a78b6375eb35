"""What an author writes: workflows, steps and their policies. Pure: no I/O."""
