//! The user's commands: one file per verb, one folder per noun.
