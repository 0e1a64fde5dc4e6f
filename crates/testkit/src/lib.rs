//! Test worlds: a platform in memory, fixtures, a scripted instance. Dev-dependency only.
