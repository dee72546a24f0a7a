//! Warnings about a drop: lawful, but perhaps not meant.
