"""Erasure of a person: what was asked, what a model still owes, and when that is past due; never rows or storage."""
