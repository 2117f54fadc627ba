"""A state's own end: sends, receives, and lets its named officers answer."""
