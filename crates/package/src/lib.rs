//! Code on its way to an instance: archives, storage, fetch.
