//! The language environments on this machine: the catalog, and preparing one from pinned lock files.
