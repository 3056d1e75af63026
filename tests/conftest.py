"""What holds for every test: a law is a law on a slow machine too."""

from hypothesis import settings

settings.register_profile("custody", deadline=None)
settings.load_profile("custody")
