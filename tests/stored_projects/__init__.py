"""Projects that released versions have written, and the test that resumes them."""
