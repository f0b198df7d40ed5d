"""The loops that carry what state decided. They reach the world through ports only."""
