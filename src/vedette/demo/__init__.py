"""The demonstration: real data, real models, a real gateway, and decisions that can be checked."""
