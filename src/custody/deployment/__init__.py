"""Desired state: which version at which threshold serves which tenant where; never judges or serves."""
