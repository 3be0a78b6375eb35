"""Everything on one machine: real servers that came with ``pip install``, and the processes around them."""
