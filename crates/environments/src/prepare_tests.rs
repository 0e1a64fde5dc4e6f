//! Preparing with programs made up for the test: what is written, raced for, left behind and reported.
