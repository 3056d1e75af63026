"""The card in other people's words: each standard is one table of which field goes where, read in both directions; never storage."""
