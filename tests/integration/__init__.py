"""Whole searches, with real training, real processes and real crashes."""
