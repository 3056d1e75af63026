"""Finds and removes personal data, pseudonyms, scan states and k-anonymity; never storage, never a raw match in a result."""
