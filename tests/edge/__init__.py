"""Tests of the serving edge over real sockets, and what they share."""
