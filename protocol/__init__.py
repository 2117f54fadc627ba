"""The words: what states say to each other, byte for byte. Nothing but bytes."""
