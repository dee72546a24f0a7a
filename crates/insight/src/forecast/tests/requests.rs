//! Requests: what a suggestion has, gaps, time zones, and what is refused.
