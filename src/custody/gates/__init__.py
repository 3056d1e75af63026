"""Checks over evidence that end in a verdict; never fetches anything, so every verdict can be replayed."""
