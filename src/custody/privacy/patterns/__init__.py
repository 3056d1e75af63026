"""The pattern pack, one table of personal data that has a shape, with its checks; never names or places, which need a model."""
