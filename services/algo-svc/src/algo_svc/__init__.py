"""Algorithms, the engines that run them, and the presets that a fresh platform brings.

Promise: an algorithm that is online can be trained with as it is described here: its code, its engine, its
parameters and its interface were checked when they were given, and every change has a revision that lineage can name.
"""
