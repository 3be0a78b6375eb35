"""The world around the order workflow: a shop's ledger and a payment gateway; knows nothing of workflows."""
