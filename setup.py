"""Lets pip and build find setup.cfg, where everything about the meta distribution stands."""

from setuptools import setup

setup()
