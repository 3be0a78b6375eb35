"""What requests say and answers hold, one module for each thing they are about."""
