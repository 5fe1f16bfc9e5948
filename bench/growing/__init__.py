"""The parts of `bench/growth.py`: curves over the numbers of connections and of images."""
